/** Faults in what starts no more than so many tasks of a key in a time. */
const scripts = 'libs/queue/store/scripts';
const script = { specs: [`${scripts}/take-by-rate`, `${scripts}/key-rates`] };
const rates = { ...script, file: `${scripts}/key-rates.fragment.ts` };
const take = { ...script, file: `${scripts}/take.fragment.ts` };
const over = { ...script, file: `${scripts}/take-over.fragment.ts` };
const heal = { ...script, file: `${scripts}/heal-rates.script.ts` };
const unstarted = { file: `${scripts}/return-unstarted.script.ts`, specs: [`${scripts}/return-unstarted`] };
const service = { specs: ['libs/queue/limits/key-rate'] };
const options = { ...service, file: 'libs/queue/limits/fleet.options.ts' };

export default [
  {
    ...rates,
    name: 'what is new comes before what waits in line',
    find: 'if lined[key] and key ~= opening or roomFor(windows[key], 1, 1) == 0 then',
    replace: 'if roomFor(windows[key], 1, 1) == 0 then',
  },
  {
    ...rates,
    name: 'a key starts any number of tasks',
    find: 'if lined[key] and key ~= opening or roomFor(windows[key], 1, 1) == 0 then',
    replace: 'if lined[key] and key ~= opening then',
  },
  {
    ...rates,
    name: 'starts are not written down',
    find: '  chargeLimit(windows[key], 1)\n  charged[key] = true\n',
    replace: '  chargeLimit(windows[key], 1)\n',
  },
  {
    ...rates,
    name: 'one reply starts all tasks of a key',
    find: '  chargeLimit(windows[key], 1)\n  charged[key] = true\n',
    replace: '  charged[key] = true\n',
  },
  {
    ...rates,
    name: 'a key of which entries wait is never due',
    find: 'for key in pairs(touched) do storeDue(key) end\n  local texts',
    replace: 'local texts',
  },
  {
    ...rates,
    name: 'a task in line loses its deliveries',
    find: 'lineUp({ id }, { key }, tostring(deliveries))',
    replace: "lineUp({ id }, { key }, '0')",
  },
  {
    ...rates,
    name: 'what waits has used a delivery',
    find: "if #ids > 0 then lineUp(ids, of, '0') end",
    replace: "if #ids > 0 then lineUp(ids, of, '1') end",
  },
  {
    ...rates,
    name: 'nobody hears of a line that begins with what a dead process had',
    find: "if not lined[key] then tell('queue:released', stream) end",
    replace: "if false then tell('queue:released', stream) end",
  },
  {
    ...rates,
    name: 'each task that waits is told to all',
    find: "if not lined[key] then tell('queue:released', stream) end",
    replace: "tell('queue:released', stream)",
  },
  {
    ...rates,
    name: 'a place whose entry is gone stays, and its key stands still',
    find: "  redis.call('ZREM', rateLine, place)\n  return true",
    replace: "  if pending then redis.call('ZREM', rateLine, place) end\n  return pending ~= nil and pending ~= false",
  },
  {
    ...rates,
    name: 'a task that cannot run here now is out of the line',
    find: 'if #claimed == before and (wentTo[id] or key) == key and isPaced(id) then return false end',
    replace: '',
  },
  {
    ...rates,
    name: 'a task that went to the line of another key holds up its old one',
    find: 'if #claimed == before and (wentTo[id] or key) == key and isPaced(id) then return false end',
    replace: 'if #claimed == before and isPaced(id) then return false end',
  },
  {
    ...rates,
    name: 'a key that cannot go on here holds up the others',
    find: '      else skipped = skipped + 1 end',
    replace: '      else break end',
  },
  {
    ...rates,
    name: 'a key that cannot go on here is due at once again',
    find: "'WITHSCORES', 'LIMIT', skipped, '1')",
    replace: "'WITHSCORES', 'LIMIT', 0, '1')",
  },
  {
    ...rates,
    name: 'an instant that is ahead of the clock is waited for',
    find: '  for _, key in ipairs(ahead) do',
    replace: '  for _, key in ipairs({}) do',
  },
  {
    ...rates,
    name: 'keys that begin alike share a line',
    find: "'(' .. key .. '\\1', 'BYLEX', 'LIMIT', '0', most + 1)",
    replace: "'(' .. key .. 'z', 'BYLEX', 'LIMIT', '0', most + 1)",
  },
  {
    ...rates,
    name: 'a full server keeps a key from being due again',
    find: "  redis.call('ZREM', rateDue, key)\n  if not lined[key] then return end",
    replace: "  if not lined[key] then redis.call('ZREM', rateDue, key) return end",
  },
  {
    ...rates,
    name: 'a window from the future stays',
    find: '    if windows[key].stepped then charged[key] = true end\n',
    replace: '',
  },
  {
    ...rates,
    name: 'windows that have lapsed stay as long as others are used',
    find: '  if #lapsed > 0 then',
    replace: '  if false then',
  },
  {
    ...rates,
    name: 'a short window ends the long ones of other keys',
    find: "local latest = redis.call('ZREVRANGE', rateEnds, '0', '0', 'WITHSCORES')[2]",
    replace: "local latest = redis.call('ZRANGE', rateEnds, '0', '0', 'WITHSCORES')[2]",
  },
  {
    ...rates,
    name: 'windows stay for ever',
    find: 'for _, key in ipairs({ rates, rateEnds }) do',
    replace: 'for _, key in ipairs({}) do',
  },
  {
    ...rates,
    name: 'a call looks at any number of places',
    find: 'local most = math.max(0, roomFor(windows[key], math.min(room - #claimed, looksLeft), 1))',
    replace: 'local most = math.max(0, roomFor(windows[key], room - #claimed, 1))',
  },
  {
    ...rates,
    name: 'what was taken over and cannot run now is in no line',
    find: '(wentTo[id] or key) == key and isPaced(id)',
    replace: 'not wentTo[id] and isPaced(id)',
  },
  {
    ...rates,
    name: 'what was taken over waits for the next call, though it may start',
    find: '  for key in pairs(touched) do storeDue(key) end\n  local ahead',
    replace: '  local ahead',
  },
  {
    ...take,
    name: 'keys have rates before all processes know',
    find: 'if not pacedSince or now < tonumber(pacedSince) then',
    replace: 'if not pacedSince then',
  },
  {
    ...take,
    name: 'what waits for its rate is counted for the fleet',
    find: "elseif info[2] ~= '${PARKED}' and info[2] ~= paced then busy",
    replace: "elseif info[2] ~= '${PARKED}' then busy",
  },
  {
    ...take,
    name: 'renewals find a consumer that has nothing, for ever',
    find: "  if info[2] == paced and info[4] == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, group, paced) end\n",
    replace: '',
  },
  {
    ...take,
    name: 'a task needs no place of its key where the key has a rate',
    find: 'return (not mayHoldGate or mayHoldGate(id, fields)) and rated.mayBegin(id, fields, deliveries)',
    replace: 'return rated.mayBegin(id, fields, deliveries)',
  },
  {
    ...take,
    name: 'a worker rests though keys are due',
    find: "${byKey ? 'if dueMs == 0 then waits = 1 end' : ''}",
    replace: '',
  },
  {
    ...over,
    name: 'what waits for its rate belongs to a dead process',
    find: "if name == paced or name == '${PARKED}'",
    replace: "if name == '${PARKED}'",
  },
  {
    ...over,
    name: 'what a dead process had goes into the line as new',
    find: 'and admits and not admits(id, entry[2], count) then',
    replace: 'and admits and not admits(id, entry[2], 0) then',
  },
  {
    ...heal,
    name: 'what is in no line waits for ever',
    find: "healed = healed + redis.call('ZADD', rateLine, '0', placeOf(key, row[1]))",
    replace: "redis.call('ZADD', line, '0', placeOf(key, row[1]))",
  },
  {
    ...heal,
    name: 'a line that is not due waits for ever',
    find: '    healed = healed + makeDue(key)\n    keysFrom',
    replace: '    keysFrom',
  },
  {
    ...heal,
    name: 'every process looks',
    find: 'if last and last <= now and now - last < everyMs then',
    replace: 'if false then',
  },
  {
    ...heal,
    name: 'what has no key any more waits for ever',
    find: "      redis.call('XCLAIM', stream, group, '${RELEASED}', '0', row[1], 'RETRYCOUNT', row[4], 'JUSTID')\n",
    replace: '',
  },
  {
    ...unstarted,
    name: 'a start that may have lapsed is given back',
    find: 'if not key or pending[3] >= perMs then return end',
    replace: 'if not key then return end',
  },
  {
    ...unstarted,
    name: 'a start is given back to a window that was made since',
    find: 'if at + ${CLOCKS_US} >= state.born then units = units + 1 end',
    replace: 'units = units + 1',
  },
  {
    ...unstarted,
    name: 'what was deleted meanwhile cannot be returned',
    find: 'key = entry and keyOf(entry[2])',
    replace: 'key = keyOf(entry[2])',
  },
  {
    ...unstarted,
    name: 'a window with a longer grace is read as another one',
    find: "math.max(graceMs, tonumber(redis.call('GET', grace) or 0) or 0)",
    replace: "math.max(graceMs, tonumber(redis.call('GET', grace) or 0) * 0)",
  },
  {
    ...unstarted,
    name: 'what waits for a key waits on, though a start was given back',
    find: "      if dues[i] then redis.call('ZADD', rateDue, string.format('%.0f', now), key) end\n",
    replace: '',
  },
  {
    ...unstarted,
    name: 'a key without starts keeps its window',
    find: "        redis.call('HDEL', rate, key)\n",
    replace: '',
  },
  {
    ...unstarted,
    name: 'a key without starts keeps the time at which its window lapses',
    find: "        redis.call('ZREM', rateEnds, key)\n",
    replace: '',
  },
  {
    ...unstarted,
    name: 'what did not start is returned where the windows are something else',
    find: "if not state and not (isOf(rate, 'hash') and isOf(rateDue, 'zset')) then",
    replace: 'if false then',
  },
  {
    ...unstarted,
    name: 'starts of all tasks are not given back',
    find: 'if giveBack(state, given[true] or {}) then saveLimit(state) end',
    replace: 'giveBack(state, given[true] or {})',
  },
  {
    file: 'libs/queue/worker/worker-pool.ts',
    specs: ['libs/queue/limits/late-starts'],
    name: 'what came too late loses its start',
    find: '      await this.#taskReturner.returnUnstarted(worker, ids);',
    replace: '      await this.#taskReturner.return(worker, ids);',
  },
  {
    file: 'libs/queue/worker/worker-pool.ts',
    specs: ['libs/queue/limits/late-starts'],
    name: 'what a pause returns loses its start',
    find: '() => this.#taskReturner.returnUnstarted(worker, ids)',
    replace: '() => this.#taskReturner.return(worker, ids)',
  },
  {
    ...service,
    file: 'libs/queue/worker/admission/limited-reader.ts',
    name: 'nobody comes when a key is due',
    find: "if (!waits) rest('quiet', Math.min(QUIET_MS, isDueMs));",
    replace: "if (!waits) rest('quiet', QUIET_MS);",
  },
  {
    ...service,
    file: 'libs/queue/worker/ordered/key-healers.ts',
    name: 'nobody looks for tasks that wait for a rate for ever',
    find: 'if (keyRate) await this.#lookAtRates(worker, keyRate, everyMs, signal);',
    replace: '',
  },
  {
    ...options,
    name: 'a place of one key may wait for the rate of another',
    find: '  refuseTwoKeys(limits, own);\n',
    replace: '',
  },
  {
    ...options,
    name: 'a rate of each key is one of all tasks',
    find: 'return { limit, perMs, ...(by && { by }) };',
    replace: 'return { limit, perMs };',
  },
  {
    ...service,
    file: 'libs/queue/worker/ordered/order-agreement.ts',
    name: 'processes of other releases are not told of rates',
    find: 'rateLimit?.by && PACES',
    replace: 'undefined',
  },
];
