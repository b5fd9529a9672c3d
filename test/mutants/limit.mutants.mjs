/** Faults in what keeps rate limits from being exceeded, and from refusing for no reason. */
const state = { specs: ['libs/redis/limits'] };
const sliding = { specs: ['libs/redis/limits/sliding.fragment'], file: 'libs/redis/limits/sliding.fragment.ts' };
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
    ...sliding,
    name: 'a window needs 30 slots, and not one more',
    find: 'const COUNTERS = SLOTS + 1;',
    replace: 'const COUNTERS = SLOTS;',
  },
  {
    ...sliding,
    name: 'the width of a slot may be rounded down',
    find: 'local own = math.ceil(s.span / ${SLOTS})',
    replace: 'local own = math.floor(s.span / (${SLOTS} + 1))',
  },
  {
    ...sliding,
    name: 'an instant may be rounded down',
    find: 'local stamp = math.ceil(now / 1000)\n    for',
    replace: 'local stamp = math.floor(now / 1000)\n    for',
  },
  {
    ...sliding,
    name: 'units of the future are not there yet',
    find: 'live[#live + 1] = math.min(past[i], stampNow)',
    replace: 'if past[i] <= stampNow then live[#live + 1] = past[i] end',
  },
  {
    ...sliding,
    name: 'slots of the future are not there yet',
    find: 'if i > 0 then counts[i]',
    replace: 'if i > 0 and of <= slot then counts[i]',
  },
  {
    ...sliding,
    name: 'a ring from the future need not be written',
    find: 's.stepped, born = true, math.max(born, last * 1000 + 1)',
    replace: 'born = math.max(born, last * 1000 + 1)',
  },
  {
    ...sliding,
    name: 'slots from the future need not be written',
    find: 's.stepped, born = true, math.max(born, (last + 1) * width)',
    replace: 'born = math.max(born, (last + 1) * width)',
  },
  {
    ...sliding,
    name: 'units of other slots are as old as they may be',
    find: '((last - ${COUNTERS - 1} + i) * width - 1) / own)',
    replace: '((last - ${COUNTERS} + i) * width) / own)',
  },
  {
    ...sliding,
    name: 'units of slots are as old as they may be in a ring',
    find: 'math.ceil((last - ${COUNTERS - 1} + i) * width / 1000)',
    replace: 'math.ceil((last - ${COUNTERS} + i) * width / 1000)',
  },
  {
    ...sliding,
    name: 'a refund of one instant takes any units',
    find: '(not at or s.stamps[i] == stamp)',
    replace: '(not at or s.stamps[i] ~= 0)',
  },
  {
    ...sliding,
    name: 'a refund of one slot takes any units',
    find: 'last = first\n',
    replace: 'first = 1\n',
  },
  {
    ...sliding,
    name: 'a narrow counter holds any number',
    find: 'narrow and 65535 or',
    replace: 'narrow and 65536 or',
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
    find: 'at >= s.since and halfBucket(s) or 0',
    replace: '0',
  },
  {
    ...bucket,
    name: 'a bucket was nearly empty ever since',
    find: 'if lag < halfBucket(s) or s.stepped then return end',
    replace: 's.since = 0\n  if lag > 0 then return end',
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
    find: 'then s.ends = ends\n  elseif not',
    replace: 'then s.used = 0\n  elseif not',
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
    find: 'if at and at < s.born then return end',
    replace: '',
  },
  {
    ...limit,
    name: 'a call that is sent twice is two calls',
    find: '== nonce then return (struct',
    replace: "== '' then return (struct",
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
    find: 'if s.blocked then return 0 end\n  local room = s.each and roomInBucket',
    replace: 'local room = s.each and roomInBucket',
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
