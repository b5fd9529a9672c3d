/** Faults in what keeps locks exclusive, fair and alive. */
const waiting = { specs: ['libs/lock/waiting-room.spec'] };
const outage = { specs: ['libs/lock/waiting-room.outage'] };
const service = { specs: ['libs/lock/lock.(service|held).spec'] };
const lease = { file: 'libs/lock/lease.ts', specs: ['libs/lock/lease'] };
const decorator = { specs: ['libs/lock/with-lock'] };
const grant = 'libs/lock/scripts/grant.lua.ts';
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
];
