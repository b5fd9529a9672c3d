/** Faults in what keeps the tasks of an ordering key in order, and one at a time, or so many of a key at a time. */
const scripts = 'libs/queue/store/scripts';
const acks = { specs: [`${scripts}/take-ordered`, `${scripts}/ack-keyed`] };
const heals = { specs: [`${scripts}/heal-keys`] };
const gates = { ...acks, file: `${scripts}/gates.fragment.ts` };
const ack = { ...acks, file: `${scripts}/ack-keyed.script.ts` };
const take = { ...acks, file: `${scripts}/take.script.ts` };
const over = { ...acks, file: `${scripts}/take-over.fragment.ts` };
const settle = { ...acks, file: `${scripts}/settle-failure.script.ts` };
const heal = { ...heals, file: `${scripts}/heal-keys.script.ts` };
const uses = { ...acks, file: `${scripts}/use-order.script.ts` };
const perKey = { specs: [`${scripts}/per-key`] };
const service = { specs: ['libs/queue/ordering'] };
const options = {
  specs: ['libs/queue/ordering/ordering.options.spec'],
  file: 'libs/queue/ordering/ordering.options.ts',
};
const agreement = {
  specs: ['libs/queue/ordering/ordering.agreement'],
  file: 'libs/queue/worker/ordered/order-agreement.ts',
};
const together = { specs: ['libs/queue/ordering/ordering.together', 'libs/queue/ordering/ordering.spec'] };

export default [
  {
    ...gates,
    name: 'a gate that is held is free for anybody',
    find: "return not holderOf(key) or holds(key, task) or holderOf(key) == '!' .. task or countOf(key) < perKey",
    replace: 'return true',
  },
  {
    ...gates,
    name: 'a retry is another task',
    find: "return not holderOf(key) or holds(key, task) or holderOf(key) == '!' .. task or countOf(key) < perKey",
    replace: "return not holderOf(key) or holderOf(key) == '!' .. task or countOf(key) < perKey",
  },
  {
    ...gates,
    name: 'a key that stopped waits for its own dead letter',
    find: "return not holderOf(key) or holds(key, task) or holderOf(key) == '!' .. task or countOf(key) < perKey",
    replace: 'return not holderOf(key) or holds(key, task) or countOf(key) < perKey',
  },
  {
    ...gates,
    name: 'the second task of a key in one read finds the gate free',
    find: 'if not holds(key, task) then setHolders(key, with(key, task)) end\n    else',
    replace: "redis.call('HSET', gates, key, task)\n    else",
  },
  {
    ...gates,
    name: 'a line is in the order of the texts of its ids',
    find: "string.rep('0', 20 - #ms) .. ms .. string.rep('0', 20 - #seq) .. seq",
    replace: "ms .. seq .. string.rep('0', 40 - #ms - #seq)",
  },
  {
    ...gates,
    name: 'keys that begin alike share a line',
    find: "'[' .. key .. '\\0', '(' .. key .. '\\1'",
    replace: "'[' .. key, '(' .. key .. '\\255'",
  },
  {
    ...gates,
    name: 'what is opened stays in line',
    find: "    redis.call('ZREM', line, unpack(places))\n",
    replace: '',
  },
  {
    ...gates,
    name: 'a gate stays when nobody waits',
    find: 'else free[#free + 1] = key end',
    replace: 'end',
  },
  {
    ...gates,
    name: 'what is opened comes here, whatever room there is',
    find:
      'local isMine = home == stream and #opened < opensMost and openedBytes < ${CLAIM_BYTES}\n' +
      '    local last = math.min(#heads, at - 1 + (isMine and math.min(most, opensMost - #opened) or most))',
    replace: 'local isMine = home == stream\n    local last = math.min(#heads, at - 1 + most)',
  },
  {
    ...gates,
    name: 'what is opened here is more than there is room for, if it is claimed at once',
    find: '(isMine and math.min(most, opensMost - #opened) or most)',
    replace: 'most',
  },
  {
    ...gates,
    name: 'what is opened here may be of any size',
    find: '#opened < opensMost and openedBytes < ${CLAIM_BYTES}',
    replace: '#opened < opensMost',
  },
  {
    ...gates,
    name: 'a hash of many gates is searched from its beginning',
    find: "string.rep(' ', 65)",
    replace: "''",
  },
  {
    ...gates,
    name: 'what makes the hash a table stays in it',
    find: "  if isLarge then free[#free + 1] = '' end\n",
    replace: '',
  },
  {
    ...gates,
    ...perKey,
    name: 'a key that ends twice in one step is opened twice',
    find: 'seen[key] and 0 or ',
    replace: '',
  },
  {
    ...gates,
    name: 'what is opened is nobody else who holds the gate',
    find: '        setHolders(key, with(key, task))\n        if isMine then',
    replace: '        if isMine then',
  },
  {
    ...gates,
    name: 'what waited among the retries is in the queue',
    find: 'home = own == isOwn and stream or other }',
    replace: 'home = own ~= nil and stream or other }',
  },
  {
    ...gates,
    name: 'what is opened for everybody counts a delivery',
    find: "      ids[#ids + 1] = 'RETRYCOUNT'\n      ids[#ids + 1] = '0'\n",
    replace: '',
  },
  {
    ...gates,
    name: 'a step looks at gone entries for ever, or gives the key up',
    find: "setHolders(key, holders[key] or '')",
    replace: 'setHolders(key, holders[key])',
  },
  {
    ...gates,
    name: 'a key with NUL ends there',
    find: "if #text > ${KEY_MAX_BYTES} or string.find(text, '%z') then",
    replace: 'if #text > ${KEY_MAX_BYTES} then',
  },
  {
    ...ack,
    name: 'a success is not fenced by its owner',
    find: 'from, to, most, consumer)',
    replace: 'from, to, most)',
  },
  {
    ...ack,
    name: 'a success is not fenced by its delivery',
    find: 'if pending[id] == deliveries[n] then',
    replace: 'if pending[id] then',
  },
  {
    ...ack,
    name: 'what lies far from the others of a batch is not looked for',
    find: '  if pending[id] == nil then readPending(id, id, 1) end\n',
    replace: '',
  },
  {
    ...gates,
    name: 'a line that was empty stays empty in the eyes of the step',
    find: '    hasLine = true\n',
    replace: '',
  },
  {
    ...ack,
    name: 'a success opens nothing',
    find: 'passOnAll(gatesOf, tasks)\n',
    replace: '',
  },
  {
    ...ack,
    ...together,
    name: 'a member of a join does not count',
    find: "for _, member in ipairs(acked) do settleMember(member, 'completed') end\n",
    replace: '',
  },
  {
    ...ack,
    ...together,
    name: 'whoever waits for the result is not told',
    find: "if meta ~= '' then answer(",
    replace: 'if false then answer(',
  },
  {
    ...ack,
    name: 'a key of another type is no reason to refuse',
    find: "if not gatesFine() then return redis.error_reply('WRONGTYPE ' .. gates .. ' or ' .. line .. ' is something else') end\n",
    replace: '',
  },
  {
    ...take,
    name: 'tasks are taken before the instant of the order',
    find: 'if not since or now < tonumber(since) then',
    replace: 'if not since then',
  },
  {
    ...take,
    name: 'tasks are taken though nobody knows of the order',
    find: 'if not since or now < tonumber(since) then',
    replace: 'if since and now < tonumber(since) then',
  },
  {
    ...take,
    name: 'parked tasks are counted for the fleet',
    find: "elseif info[2] ~= '${PARKED}' then busy",
    replace: 'else busy',
  },
  {
    ...take,
    name: 'a call reads only once',
    find: 'looked + #part, #part < count',
    replace: 'looked + #part, true',
  },
  {
    ...take,
    name: 'more than a thousand that wait are all there is',
    find: 'elseif not isLast and #redis',
    replace: 'elseif left <= 0 and #redis',
  },
  {
    ...take,
    specs: [`${scripts}/take.script`],
    name: 'a reply is as large as its tasks are',
    find: 'looked < ${LOOKS_MOST} and bytes < ${CLAIM_BYTES} and',
    replace: 'looked < ${LOOKS_MOST} and',
  },
  {
    ...take,
    name: 'nobody need take what was opened here',
    find: 'if next(freed) then waits = 1 end\n',
    replace: '',
  },
  {
    ...over,
    name: 'what waits for its key belongs to a dead process',
    find: "  if name == '${PARKED}' then return false end\n",
    replace: '',
  },
  {
    ...over,
    name: 'what was pending before the order may run at once',
    find: 'and admits and not admits(id, entry[2]) then',
    replace: 'and admits and false then',
  },
  {
    ...over,
    name: 'a cancelled task of a dead process keeps its key',
    find: '  if passesOn then passesOn(entry and entry[2] or {}, task, false) end\n',
    replace: '',
  },
  {
    ...over,
    name: 'a task that killed its processes keeps its key',
    find: '          if passesOn then passesOn(entry[2], deadLetters[#deadLetters], true) end\n',
    replace: '',
  },
  {
    ...settle,
    name: 'a dead letter keeps its key',
    find: "  settled(true)\n  closeJoins()\n  return 'dead'",
    replace: "  closeJoins()\n  return 'dead'",
  },
  {
    ...settle,
    name: 'a cancelled task keeps its key',
    find: "  settled(false)\n  closeJoins()\n  answerFailure(meta, handle, 'cancelled'",
    replace: "  closeJoins()\n  answerFailure(meta, handle, 'cancelled'",
  },
  {
    ...settle,
    name: 'a deleted task keeps its key',
    find: "  settled(false)\n  closeJoins()\n  return 'stale'",
    replace: "  closeJoins()\n  return 'stale'",
  },
  {
    ...settle,
    name: 'no key stops',
    find: "if isDeadLetter and closes == '1' then",
    replace: 'if false then',
  },
  {
    ...acks,
    file: `${scripts}/further-fields.fragment.ts`,
    name: 'a task with many fields loses its key',
    find: "if others[i] == 'ordering_key' then",
    replace: 'if false then',
  },
  {
    ...heal,
    name: 'a delayed task is nowhere',
    find: "redis.call('ZSCORE', delayed, task) or redis.call('ZSCORE', otherDelayed, task)",
    replace: 'false',
  },
  {
    ...heal,
    name: "the group's own retries are nowhere",
    find: 'or isIn(other, otherIndex, task)\n',
    replace: '\n',
  },
  {
    ...heal,
    name: 'a task that no index knows is nowhere',
    find: '\n    or isPending(task)',
    replace: '',
  },
  {
    ...heal,
    name: 'a retry of which no group knows yet is nowhere',
    find: "    ends[key] = '0-0'\n",
    replace: '',
  },
  {
    ...heal,
    name: 'a retry that was not read yet is nowhere',
    find: '        if isBefore(ends[key], row[1]) then return true end\n',
    replace: '',
  },
  {
    ...heal,
    name: 'a stopped key goes on by itself',
    find: 'if task ~= holder and isLetter(task) then return true end\n',
    replace: '',
  },
  {
    ...heal,
    name: 'without an index, tasks are nowhere',
    find: "isOf(index, 'zset') and isOf(otherIndex, 'zset') and isOf(deadIndex, 'zset')",
    replace: 'true',
  },
  {
    ...heal,
    name: 'a line without a gate waits for ever',
    find: '    if countOf(key) < perKey then open(key, holderOf(key)) end\n',
    replace: '',
  },
  {
    ...heal,
    name: 'what is parked and in no line waits for ever',
    find: "else lined = lined + redis.call('ZADD', line, '0', placeOf(key, row[1])) end",
    replace: 'end',
  },
  {
    ...heal,
    name: 'every process looks',
    find: 'if last and last <= now and now - last < everyMs then',
    replace: 'if false then',
  },
  {
    ...uses,
    name: 'the order may begin while old leases run',
    find: 'math.max(now, math.ceil(tonumber(last or 0)))',
    replace: 'now',
  },
  {
    ...uses,
    name: 'the instant moves with each process',
    find: 'if not since then\n  local last',
    replace: 'if true then\n  local last',
  },
  {
    ...uses,
    name: 'the order ends while a task waits for its key',
    find: '> 0 then return 0 end\n  end',
    replace: '> 99 then return 0 end\n  end',
  },
  {
    ...uses,
    name: 'the order ends while a process works',
    find: "if redis.call('ZCOUNT', alive,",
    replace: "if false and redis.call('ZCOUNT', alive,",
  },
  {
    ...agreement,
    name: 'a handler without the order may boot',
    find: '  if (first === undefined) return;\n',
    replace: '  if (first !== undefined) return;\n  if (first === undefined) return;\n',
  },
  {
    ...agreement,
    name: 'an order never ends',
    find: 'namesOrder(lease.unknown) &&\n',
    replace: 'false &&\n',
  },
  {
    ...options,
    name: 'a key may be empty',
    find: "    value !== '' &&\n",
    replace: '',
  },
  {
    ...options,
    file: 'libs/queue/ordering/with-key.ts',
    name: 'a priority goes with an order',
    find: 'if (options.priority !== undefined && (order',
    replace: 'if (false && (order',
  },
  {
    ...options,
    file: 'libs/queue/ordering/with-key.ts',
    name: 'a queue without an order takes keys',
    find: "if (options.orderingKey === undefined || typeof ref === 'string') return options;",
    replace: 'if (Math.random() < 2) return options;',
  },
  {
    ...together,
    file: 'libs/queue/worker/ordered/kept-room.ts',
    name: 'the fleet has room for whatever is opened',
    find: 'mayStart && limits?.isExact === false ?',
    replace: 'mayStart ?',
  },
  {
    ...service,
    file: 'libs/queue/worker/ordered/key-healers.ts',
    name: 'nobody looks for keys that wait for nothing',
    find: "if (worker.state !== 'open' || worker.lease.halted) return everyMs;",
    replace: 'if (everyMs > 0) return everyMs;',
  },
  {
    specs: ['libs/testing/in-process/testing-order'],
    file: 'libs/testing/in-process/outcomes/testing-order.ts',
    name: 'in a test, a task that is put off gives its key away',
    find: '        each.began === true ||\n',
    replace: '',
  },
  {
    ...gates,
    ...perKey,
    name: 'a key has one place more',
    find: 'or countOf(key) < perKey\nend',
    replace: 'or countOf(key) <= perKey\nend',
  },
  {
    ...gates,
    ...perKey,
    name: 'a place is free only when nobody holds the key',
    find: 'math.min(perKey - countOf(key), ${HEADS_MOST})',
    replace: '(countOf(key) == 0 and 1 or 0)',
  },
  {
    ...gates,
    ...perKey,
    name: 'all who hold a key lose it with the first that ends',
    find: 'if each ~= task then left[#left + 1] = each end end',
    replace: 'end',
  },
  {
    ...gates,
    ...perKey,
    name: 'a part of a number is a key',
    find: 'and value % 1 == 0 and',
    replace: 'and',
  },
  {
    ...settle,
    ...perKey,
    name: 'a task that is put off keeps its place',
    find: "  if keeps == '0' then settled(false) end\n  return home",
    replace: '  return home',
  },
  {
    ...settle,
    ...perKey,
    name: 'a task that is tried again keeps its place',
    find: "if keeps == '0' then settled(false) end\nreturn home",
    replace: 'return home',
  },
  {
    ...heal,
    ...perKey,
    name: 'a key loses all its places with one that is gone',
    find: 'if isSomewhere(each) then left[#left + 1] = each end end',
    replace: 'if isSomewhere(each) then left[#left + 1] = each else left = {} end end',
  },
  {
    specs: ['libs/queue/limits/per-key'],
    file: 'libs/queue/worker/ordered/key-of.ts',
    name: 'a worker looks for the key elsewhere',
    find: "for (const name of keyPath.split('.'))",
    replace: 'for (const name of [keyPath])',
  },
];
