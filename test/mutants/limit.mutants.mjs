/** Faults in what keeps rate limits from being exceeded, and from refusing for no reason. */
const state = { specs: ['libs/redis/limits'] };
const sliding = { specs: ['libs/redis/limits/sliding.fragment'], file: 'libs/redis/limits/sliding.fragment.ts' };
const ring = { ...sliding, file: 'libs/redis/limits/ring.fragment.ts' };
const slots = { ...sliding, file: 'libs/redis/limits/slots.fragment.ts' };
const bucket = { ...state, file: 'libs/redis/limits/bucket.fragment.ts' };
const fixed = { ...state, file: 'libs/redis/limits/fixed.fragment.ts' };
const limit = { ...state, file: 'libs/redis/limits/limit.fragment.ts' };
const onRedis = { specs: ['libs/limit/store/limit.store'] };
const both = { specs: ['libs/limit/rate-limit.service'] };
const outage = { specs: ['libs/limit/deciding/outage'] };
const calls = 'libs/limit/deciding/limit-calls.ts';
const known = { ...both, file: 'libs/limit/deciding/known-limit.ts' };
const consume = { ...both, file: 'libs/limit/store/scripts/consume.script.ts' };
const counter = { file: 'libs/limit/local/counter.ts', specs: ['libs/testing/in-process/in-process-limit'] };

export default [
  {
    ...slots,
    name: 'a window needs 30 slots, and not one more',
    find: 's.used = s.older + s.newest\n  end\n\n  local function charge',
    replace: 's.used = s.older - counterAt(s, 1) + s.newest\n  end\n\n  local function charge',
  },
  {
    ...slots,
    name: 'the width of a slot may be rounded down',
    find: 's.width = math.ceil(s.span / ${SLOTS})',
    replace: 's.width = math.floor(s.span / (${SLOTS} + 1))',
  },
  {
    ...slots,
    name: 'units of slots that have left still count',
    find: 'do s.older = s.older - counterAt(s, i) end',
    replace: 'do s.older = s.older end',
  },
  {
    ...slots,
    name: 'units of a window that is over still count',
    find: 's.older = slots > ${SLOTS} and 0 or s.older + s.newest',
    replace: 's.older = s.older + s.newest',
  },
  {
    ...slots,
    name: 'units of the newest slot are lost when the next one begins',
    find: "left[2] = struct.pack('<I' .. s.size, s.newest)",
    replace: "left[2] = struct.pack('<I' .. s.size, 0)",
  },
  {
    ...slots,
    name: 'slots of the future are not there yet',
    find: 'if at > 0 then counts[at]',
    replace: 'if at > 0 and instants[i] < (s.slot + 1) * s.width then counts[at]',
  },
  {
    ...slots,
    name: 'a refund of one slot takes any units',
    find: 'last = first\n',
    replace: 'first = 1\n',
  },
  {
    ...slots,
    name: 'a narrow counter holds any number',
    find: 's.size, s.most = 2, 65535',
    replace: 's.size, s.most = 2, 65536',
  },
  {
    ...slots,
    name: 'a value that is too short has counters',
    find: 'width == s.width and last <= s.slot and #text >= ends',
    replace: 'width == s.width and last <= s.slot',
  },
  {
    ...ring,
    name: 'an instant may be rounded down',
    find: 'local stampNow = math.ceil(now / 1000)',
    replace: 'local stampNow = math.floor(now / 1000)',
  },
  {
    ...ring,
    name: 'units of the future are not there yet',
    find: 'if stamp * 1000 > gone then addStamps(s, math.min(stamp, stampNow), ',
    replace: 'if stamp <= stampNow and stamp * 1000 > gone then addStamps(s, stamp, ',
  },
  {
    ...ring,
    name: 'a refund of one instant takes any units',
    find: '(not at or stampAt(s, i) == stamp)',
    replace: '(not at or stampAt(s, i) ~= 0)',
  },
  {
    ...ring,
    name: 'instants are counted from the first one for ever',
    find: 'stampNow - s.base > ${LIMIT_MAX}',
    replace: 'stampNow < s.base',
  },
  {
    ...ring,
    name: 'a ring of fewer units than before keeps the oldest ones',
    find: 'string.sub(s.packed, -4 * count)',
    replace: 'string.sub(s.packed, 1, 4 * count)',
  },
  {
    ...ring,
    name: 'a value that is too short has instants',
    find: 'if count > 0 and #text >= ends then',
    replace: 'if count > 0 then',
  },
  {
    ...sliding,
    name: 'units from the future need not be written',
    find: 'then s.stepped, s.born = true, math.max(s.born, instants[#instants] + 1) end',
    replace: 'then s.born = math.max(s.born, instants[#instants] + 1) end',
  },
  {
    ...sliding,
    name: 'units of another configuration are as old as they may be',
    find: 'instants[i] = (last - ${SLOTS} + i) * width - 1',
    replace: 'instants[i] = (last - ${SLOTS + 1} + i) * width',
  },
  {
    ...bucket,
    name: 'the lag of a later time is gone when the clock is set back',
    find: 'then s.stepped, lag = true, most end',
    replace: 'then lag = 0 end',
  },
  {
    ...bucket,
    name: 'a bucket from the future need not be written',
    find: 'then s.stepped, lag = true, most end',
    replace: 'then lag = most end',
  },
  {
    ...bucket,
    name: 'a refund of a bucket gives back all its units',
    find: 'back = math.min(back, math.max(',
    replace: 'back = math.max(back, math.max(',
  },
  {
    ...bucket,
    name: 'what a bucket was charged long ago has flowed in',
    find: 'at >= s.since and half(s) or 0',
    replace: '0',
  },
  {
    ...bucket,
    name: 'a bucket was nearly empty ever since',
    find: 'if lag < half(s) or s.stepped then return end',
    replace: 's.since = 0\n    if lag > 0 then return end',
  },
  {
    ...bucket,
    name: 'a bucket knows no call again',
    find: '~= string.sub(nonce, 1, ${NONCE_START}) then return end',
    replace: '~= nonce then return end',
  },
  {
    ...bucket,
    name: 'a call of a bucket that is sent twice got all that it asked for',
    find: 'isAll and ${ALL} or',
    replace: 'units and ${ALL} or',
  },
  {
    ...bucket,
    name: 'any turn can be given back',
    find: 'if math.abs(now + s.lag - ends) >= 1 then return end',
    replace: '',
  },
  {
    ...bucket,
    name: 'a call that waits starts at once',
    find: 'return s.lag + (cost - math.max',
    replace: 'return 0 * s.lag + (cost - math.max',
  },
  {
    ...fixed,
    name: 'a later calendar window ends where this one does',
    find: 'then s.ends = ends\n    elseif not',
    replace: 'then s.used = 0\n    elseif not',
  },
  {
    ...fixed,
    name: 'a window of the future need not be written',
    find: 'elseif ends ~= s.ends then s.stepped = true end',
    replace: 'end',
  },
  {
    ...limit,
    name: 'units may be given back after a reset',
    find: 'if not s.each and at and at < s.born then return end',
    replace: '',
  },
  {
    ...limit,
    name: 'a call that is sent twice is two calls',
    find: 'if at and at % ${TRACE_BYTES} == 1 then',
    replace: 'if false then',
  },
  {
    ...limit,
    name: 'a block ends at once',
    find: 'if s.blocked <= 0 then s.blocked = nil end',
    replace: 's.blocked = nil',
  },
  {
    ...limit,
    name: 'a block leaves the room that there is',
    find: 'if s.blocked then return 0 end\n  local room = s.each and s.of.room',
    replace: 'local room = s.each and s.of.room',
  },
  {
    ...limit,
    name: 'an empty state stays',
    find: "if text == '' then redis.call('DEL', s.key)\n  else ",
    replace: "if text == '' then redis.call('SET', s.key, text)\n  else ",
  },
  {
    ...consume,
    name: 'one limit with room is enough',
    find: 'granted = math.min(granted, roomFor(s, calls, cost))',
    replace: 'granted = roomFor(s, calls, cost)',
  },
  {
    ...consume,
    name: 'only the first of several limits is charged',
    find: 'for i = 1, #states do chargeLimit(states[i], granted * cost) end',
    replace: 'chargeLimit(states[1], granted * cost)',
  },
  {
    ...consume,
    name: 'a refused call is charged',
    find: 'charged = charged + granted * cost',
    replace:
      'charged = charged + calls * cost\n      for i = 1, #states do chargeLimit(states[i], (calls - granted) * cost) end',
  },
  {
    ...outage,
    name: 'a call that is asked again is charged again',
    file: 'libs/limit/store/scripts/consume.script.ts',
    find: 'if charged > 0 and not s.wait then trace(s, nonce, charged, charged == asked) end',
    replace: '',
  },
  {
    ...outage,
    name: 'a call whose answer was lost is not asked again',
    file: 'libs/limit/store/limit.store.ts',
    find: "error.outcome !== 'unknown' ||",
    replace: "error.outcome === 'unknown' ||",
  },
  {
    ...onRedis,
    name: 'Redis may see the keys of subjects',
    file: 'libs/limit/store/limit.keys.ts',
    find: "hash('sha256', subject, 'base64url').slice(0, HASH_CHARS)",
    replace: 'subject',
  },
  {
    ...onRedis,
    name: 'calls of one turn are a script each',
    file: calls,
    find: '    if (batch !== undefined) {\n      batch.calls.push(call);',
    replace: '    if (batch !== undefined) {\n      this.#flush();\n      this.add(known, key, limits, call);',
  },
  {
    ...both,
    name: 'each call of a run leaves the same number of units',
    file: calls,
    find: '(run.granted - 1 - n) * cost',
    replace: '0 * n * cost',
  },
  {
    ...outage,
    name: 'a process has the whole limit for itself',
    file: 'libs/limit/deciding/fleet-share.ts',
    find: 'Math.floor(rule.limit * share)',
    replace: 'Math.floor(rule.limit)',
  },
  {
    ...outage,
    name: 'the number of processes is never known',
    file: 'libs/limit/deciding/fleet-share.ts',
    find: 'this.#processes = processes ?? this.#processes;',
    replace: 'this.#processes = undefined;',
  },
  {
    ...outage,
    name: 'a share may be nothing',
    file: 'libs/limit/deciding/fleet-share.ts',
    find: 'Math.max(1, Math.floor(rule.limit * share))',
    replace: 'Math.floor(rule.limit * share)',
  },
  {
    ...outage,
    name: 'a policy that refuses admits',
    file: calls,
    find: "const allows = known.onUnavailable === 'allow';",
    replace: "const allows = known.onUnavailable !== 'local';",
  },
  {
    ...onRedis,
    name: 'a smaller call is refused like the larger one',
    file: 'libs/limit/deciding/refusal-memory.ts',
    find: 'each.cost === cost)',
    replace: 'each.cost >= cost)',
  },
  {
    ...both,
    name: 'a larger call may try again when the smaller one may',
    file: 'libs/limit/deciding/refusal-memory.ts',
    find: 'each.cost === cost)',
    replace: 'each.cost <= cost)',
  },
  {
    ...outage,
    name: 'a server in cluster mode knows all processes',
    file: 'libs/limit/store/limit.store.ts',
    find: 'if (slots.knowsSlots) return undefined;',
    replace: '',
  },
  {
    name: 'a queue may have the key of a rate limit',
    file: 'libs/redis/keyspace.ts',
    find: '(?:cache|rl:[^{}]*)',
    replace: 'cache',
    specs: ['libs/redis/keyspace'],
  },
  {
    ...onRedis,
    name: 'a refusal is remembered until it ends',
    file: 'libs/limit/deciding/refusal-memory.ts',
    find: 'Math.min(decision.retryAfterMs, LONGEST_MS)',
    replace: 'decision.retryAfterMs',
  },
  {
    ...both,
    name: 'a process remembers a refusal beyond its own reset',
    file: 'libs/limit/rate-limit.service.ts',
    find: '    this.#refusals.delete(known.idOf(key));',
    replace: '',
  },
  {
    ...both,
    name: 'a reservation is settled as often as one likes',
    file: 'libs/limit/deciding/reserved.ts',
    find: '    this.#isOpen = false;',
    replace: '',
  },
  {
    ...known,
    name: 'the code outranks configuration',
    find: '{ ...rest, ...kept, ...named }',
    replace: '{ ...named, ...rest, ...kept }',
  },
  {
    ...known,
    file: 'libs/limit/deciding/known-limits.ts',
    name: 'the last definition of a name counts',
    find: 'first !== undefined && first !== definition && !isDeepStrictEqual',
    replace: 'first !== undefined && first === definition && !isDeepStrictEqual',
  },
  {
    name: 'a task that a rate limit refuses backs off like any other',
    file: 'libs/queue/worker/retry-policy.ts',
    find: "isSluiceError(run.thrown, 'SLUICE_RATE_LIMITED') && isDelay(retryAfterMs)",
    replace: "isSluiceError(run.thrown, 'SLUICE_LOCK_TIMEOUT') && isDelay(retryAfterMs)",
    specs: ['libs/queue/worker/retry-policy'],
  },
  {
    ...counter,
    name: 'units of this process never lapse',
    find: 'leavesUs > nowUs);',
    replace: 'leavesUs > 0 * nowUs);',
  },
  {
    ...counter,
    name: 'a block of this process changes nothing',
    find: 'return this.#blockedUntil > nowUs;',
    replace: 'return this.#blockedUntil > nowUs * 2;',
  },
  {
    name: 'a client that keeps trying stays blocked',
    file: 'libs/testing/in-process/in-process-limit.store.ts',
    find: 'ms * 1_000, once, nowUs',
    replace: 'ms * 1_000, false, nowUs',
    specs: ['libs/throttler'],
  },
];
