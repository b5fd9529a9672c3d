/** Faults in what keeps locks exclusive, fair and alive. */
const waiting = { specs: ['libs/lock/waiting-room.spec'] };
const outage = { specs: ['libs/lock/waiting-room.outage'] };
const service = { specs: ['libs/lock/lock.(service|held).spec'] };
const lease = { file: 'libs/lock/lease.ts', specs: ['libs/lock/lease'] };
const decorator = { specs: ['libs/lock/with-lock'] };
const grant = 'libs/lock/scripts/grant.lua.ts';
const raw = { file: 'libs/lock/scripts/raw.scripts.ts', specs: ['libs/lock/raw-locks'] };
const operating = { file: 'libs/lock/scripts/force-release.script.ts', specs: ['libs/lock/lock.operating'] };
const stats = { specs: ['libs/lock/lock.stats'] };
const fenced = { file: 'libs/lock/scripts/fenced.scripts.ts', specs: ['libs/lock/fenced-keys'] };
const errors = { specs: ['libs/lock/lock.errors'] };
const server = { file: 'libs/redis/server-check.ts', specs: ['libs/redis/server-check'] };
const handOver = 'libs/lock/scripts/hand-over.lua.ts';

export default [
  {
    ...service,
    name: 'the owner is enough to hold',
    file: grant,
    find: "if string.sub(record, 1, #nonce + 1) ~= nonce .. ' ' then return nil end",
    replace: '',
  },
  {
    ...service,
    name: 'the record is enough to hold',
    file: grant,
    find: "if redis.call('GET', lock) ~= owner then return nil end",
    replace: '',
  },
  {
    ...service,
    name: 'tokens follow the clock alone',
    file: grant,
    find: 'last and last >= nowUs() and int(last + 1) or nowUs()',
    replace: 'nowUs()',
  },
  {
    ...waiting,
    name: 'who comes barges past who waits',
    file: 'libs/lock/scripts/acquire.script.ts',
    find: "${GRANT_LUA}\nif redis.call('EXISTS', lock, queue) == 0",
    replace: "${GRANT_LUA}\nif redis.call('EXISTS', lock) == 0",
  },
  {
    ...service,
    name: 'a release leaves the lock free',
    file: 'libs/lock/scripts/release.script.ts',
    find: '  settle({})',
    replace: '',
  },
  {
    ...waiting,
    name: 'a dead process is granted the lock',
    file: handOver,
    find: 'provisional)) > 0 then',
    replace: 'provisional)) >= 0 then',
  },
  {
    ...waiting,
    name: 'a silent process is granted the lock',
    file: handOver,
    find: 'if nowMs() - seen <= ${WAITER_SILENT_MS} then',
    replace: 'if seen then',
  },
  {
    ...waiting,
    name: 'a grant needs no claim',
    file: handOver,
    find: "tonumber(ttl) < ${PROVISIONAL_MS} and ttl or '${PROVISIONAL_MS}'",
    replace: 'ttl',
  },
  {
    ...waiting,
    name: 'who was passed over goes to the end',
    file: 'libs/lock/scripts/heartbeat.script.ts',
    find: 'enqueue(nonce, owner, ttl, inbox, who, place)',
    replace: "enqueue(nonce, owner, ttl, inbox, who, '0')",
  },
  { ...waiting, name: 'a stale push is believed', file: 'libs/lock/waiter.ts', find: 'token > fence && ', replace: '' },
  {
    ...waiting,
    name: 'a grant for nobody is kept',
    file: 'libs/lock/lock.keeper.ts',
    find: 'if (!this.#held.has(identity.nonce)) this.#giveBack.add(identity, ttlMs);',
    replace: '',
  },
  {
    ...outage,
    name: 'a release that failed is forgotten',
    file: 'libs/lock/lock.keeper.ts',
    find: 'if (isTransient(error)) this.#giveBack.add(request, request.ttlMs);',
    replace: '',
  },
  {
    ...waiting,
    name: 'nobody asks again after a new subscription',
    file: 'libs/lock/waiting-room.ts',
    find: 'line.heartbeatAtMs = 0;',
    replace: '',
  },
  {
    ...waiting,
    name: 'what a late heartbeat was granted is kept',
    file: 'libs/lock/waiting-room.ts',
    find: 'if (!waiter.waiting) this.#unwanted(waiter.request);',
    replace: 'if (!waiter.waiting) return;',
  },
  {
    ...lease,
    name: 'a late answer brings a lease back',
    find: "else if (this.remainingMs <= 0) this.#lose('expired');",
    replace: '',
  },
  { ...lease, name: 'an older answer undoes a shortening', find: 'epoch === this.#epoch && ', replace: '' },
  {
    ...lease,
    name: 'a sleeping machine is not noticed',
    file: 'libs/lock/instant.ts',
    find: 'Math.max(clock.monoMs() - from.monoMs, clock.wallMs() - from.wallMs)',
    replace: 'clock.monoMs() - from.monoMs',
  },
  {
    ...service,
    name: 'a lost lock is not told',
    file: 'libs/lock/current-lock.ts',
    find: 'lock.assertHeld();',
    replace: '',
  },
  {
    ...decorator,
    name: 'a tick is not remembered',
    file: 'libs/lock/scripts/acquire-tick.script.ts',
    find: 'if done and done >= instant then return { 2 } end',
    replace: '',
  },
  {
    name: 'a late run takes the next tick for its own',
    file: 'libs/lock/cron-instants.ts',
    find: 'fired ? previous(time, nowMs, DAY_MS) : nearest(time, nowMs)',
    replace: 'nearest(time, nowMs)',
    specs: ['libs/lock/cron-instants'],
  },

  // Operating: the plain recipe, a forced release, what is told of a lock, fenced writes, the look at the server.
  {
    ...raw,
    name: 'a raw release does not look at the owner',
    find: "if redis.call('GET', lock) == owner then return redis.call('DEL', lock) end",
    replace: "do return redis.call('DEL', lock) end",
  },
  {
    ...raw,
    name: 'a raw extension brings an expired lock back',
    find: "if redis.call('GET', lock) == owner then return redis.call('PEXPIRE', lock, ttl) end",
    replace:
      "if (redis.call('GET', lock) or owner) == owner then redis.call('SET', lock, owner, 'PX', ttl) return 1 end",
  },
  {
    ...raw,
    name: 'a raw acquisition overwrites',
    file: 'libs/lock/lock.store.ts',
    find: "[lock, owner, 'PX', ttlMs, 'NX']",
    replace: "[lock, owner, 'PX', ttlMs]",
  },
  {
    ...operating,
    name: 'a forced release is not told',
    find: "if process and token then redis.call('PUBLISH'",
    replace: "if false then redis.call('PUBLISH'",
  },
  {
    ...operating,
    name: 'a forced release leaves the lock free',
    find: 'settle({})\nreturn { owner',
    replace: 'return { owner',
  },
  {
    ...operating,
    name: 'a forced release takes the fence along',
    find: "redis.call('DEL', lock, beside('holder'))",
    replace: "redis.call('DEL', lock, fence, beside('holder'))",
  },
  {
    ...operating,
    name: 'a forced release that is told early is forgotten',
    file: 'libs/lock/lock.keeper.ts',
    find: 'if (this.#forced.has(request.nonce, lock.fencingToken)) lock.forced();',
    replace: '',
  },
  {
    ...operating,
    name: 'a forced release ends a later grant',
    file: 'libs/lock/forced-locks.ts',
    find: '?.token === token',
    replace: ' !== undefined && token > 0',
  },
  {
    ...operating,
    name: 'the record of an earlier holder deceives',
    file: 'libs/lock/scripts/inspect.script.ts',
    find: "if record and math.abs(redis.call('PTTL', holder) - ttl) > 100 then record = false end",
    replace: '',
  },
  {
    ...operating,
    name: 'a look reads every waiter',
    file: 'libs/lock/scripts/inspect.script.ts',
    find: '${WAITERS_SHOWN - 1}',
    replace: '-1',
  },
  {
    ...stats,
    name: 'every name is remembered',
    file: 'libs/lock/lock.stats.ts',
    find: 'if (this.#young.size >= this.#size)',
    replace: 'if (this.#young.size >= Infinity)',
  },
  {
    ...stats,
    name: 'a message is made for nobody',
    file: 'libs/lock/lock.events.ts',
    find: 'if (lockChannels.acquired.hasSubscribers) ',
    replace: '',
  },
  {
    ...stats,
    name: 'an app that closes loses its locks',
    file: 'libs/lock/lock.keeper.ts',
    find: "lost === undefined || lost.why === 'closed'",
    replace: 'lost === undefined',
  },
  {
    ...fenced,
    name: 'a fenced write is let through',
    find: 'if seen and tonumber(token) < tonumber(seen)',
    replace: 'if false',
  },
  {
    ...fenced,
    name: 'a holder writes only once',
    find: 'tonumber(token) < tonumber(seen)',
    replace: 'tonumber(token) <= tonumber(seen)',
  },
  {
    ...fenced,
    name: 'a fenced deletion forgets who made it',
    find: "redis.call('DEL', key)",
    replace: "redis.call('DEL', key, fenced)",
  },
  {
    ...fenced,
    name: 'a value outlives its token',
    file: 'libs/lock/fenced-keys.ts',
    find: 'Math.max(rememberMs ?? REMEMBER_MS, ttlMs ?? 0)',
    replace: 'rememberMs ?? REMEMBER_MS',
  },
  {
    ...errors,
    name: 'an outage is told without the lock',
    file: 'libs/lock/lock.keeper.ts',
    find: 'isTransient(error) ? new LockUnavailableError(name, action, error) : error',
    replace: 'error',
  },
  {
    ...errors,
    name: "a nested lock's timeout is taken for one's own",
    file: 'libs/lock/with-lock.decorator.ts',
    find: "lock = await this.#take(typeof tick === 'object' ? tick : undefined, scheduled);",
    replace:
      "lock = await this.#take(typeof tick === 'object' ? tick : undefined, scheduled);\n      if (lock) return await this.#service.run(lock, () => this.#call.proceed());",
  },
  { ...server, name: 'a policy without a limit is minded', find: 'maxMemory > 0 && ', replace: '' },
  { ...server, name: 'a cache may not evict', find: 'kept.length > 0 && ', replace: '' },
  { ...server, name: 'any version will do', find: 'Number.parseInt(redisVersion) < OLDEST', replace: 'false' },
  {
    ...server,
    name: 'strict only warns',
    file: 'libs/redis/connection.ts',
    find: "if (this.#config.strict) throw new SluiceError('SLUICE_REDIS_UNFIT', message);",
    replace: '',
  },
  {
    ...operating,
    name: 'locks do not mind eviction',
    file: 'libs/lock/lock.store.ts',
    find: "connection.keeps('locks');",
    replace: '',
  },
];
