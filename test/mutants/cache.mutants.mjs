/** Faults in the guards of the cache: each must be missed by somebody. */
const store = ['libs/cache/cache.store.spec'];
const service = ['libs/cache/cache.(service|invalidation|outage).spec'];
const decorator = ['libs/cache/cache-stampede-safe.decorator.spec'];
const flight = { file: 'libs/cache/flight.ts', specs: service };
const reader = { file: 'libs/cache/reader.ts', specs: service };
const lease = { file: 'libs/cache/lease.ts', specs: service };

export default [
  {
    name: 'a fill needs no lease of its own',
    file: 'libs/cache/scripts/fill.script.ts',
    specs: store,
    find: "if redis.call('HGET', lease, 'token') ~= token then return 0 end",
    replace: '',
  },
  {
    name: 'a fill keeps its lease',
    file: 'libs/cache/scripts/fill.script.ts',
    specs: store,
    find: "redis.call('DEL', lease)",
    replace: '',
  },
  {
    name: 'an error ends a load that is not its own',
    file: 'libs/cache/scripts/fail.script.ts',
    specs: store,
    find: "if redis.call('HGET', lease, 'token') ~= token then return 0 end",
    replace: '',
  },
  {
    name: 'an error backs nobody off',
    file: 'libs/cache/scripts/fail.script.ts',
    specs: service,
    find: 'if backoffMs > 0 then',
    replace: 'if false then',
  },
  {
    name: 'everybody who asks may load',
    file: 'libs/cache/scripts/ask.script.ts',
    specs: store,
    find: 'if held[1] and held[1] ~= token then',
    replace: 'if false then',
  },
  {
    name: 'a resent question waits for itself',
    file: 'libs/cache/scripts/ask.script.ts',
    specs: store,
    find: 'held[1] and held[1] ~= token',
    replace: 'held[1]',
  },
  {
    name: 'who waits is not registered',
    file: 'libs/cache/scripts/ask.script.ts',
    specs: store,
    find: "redis.call('HSET', lease, 'w:' .. token, inbox)",
    replace: '',
  },
  {
    name: 'an invalidation leaves the lease',
    file: 'libs/cache/scripts/lease.fragment.ts',
    specs: store,
    find: "redis.call('DEL', lease)",
    replace: '',
  },
  {
    name: 'an invalidation does not tell the loading process',
    file: 'libs/cache/scripts/lease.fragment.ts',
    specs: store,
    find: "if held[1] then redis.call('PUBLISH', held[2], frame('cache', 'void', held[1], '')) end",
    replace: '',
  },
  {
    name: 'a large value is pushed',
    file: 'libs/cache/scripts/lease.fragment.ts',
    specs: store,
    find: 'if #text <= ${INBOX_MAX_BYTES} then',
    replace: 'if true then',
  },
  {
    name: 'another lease is renewed',
    file: 'libs/cache/scripts/renew.script.ts',
    specs: store,
    find: "if redis.call('HGET', lease, 'token') ~= token then return 0 end",
    replace: '',
  },
  { ...lease, name: 'leases are not renewed', find: 'timing.leaseMs / 3', replace: 'timing.leaseMs * 30' },
  { ...lease, name: 'a refused renewal is not noticed', find: 'mine === false', replace: 'mine === null' },
  {
    ...flight,
    name: 'a load begins whose grant was voided on its way',
    find: 'request.voided ? undefined : this.#loadForAll(request)',
    replace: 'this.#loadForAll(request)',
  },
  { ...flight, name: 'a wait may be joined however old', find: '<= JOINABLE_MS', replace: '<= Infinity' },
  {
    ...flight,
    name: 'readers join a load after its invalidation',
    find: '      // Whoever asks from now on must not get what was read before the invalidation.\n      this.#airspace.leave(this);',
    replace: '',
  },
  {
    ...flight,
    name: 'invalidations call every load off',
    find: 'if (!this.#mustFinish) load.abort();',
    replace: 'load.abort();',
  },
  {
    ...flight,
    name: 'a load out of time keeps its lease',
    find: 'if (load.timedOut) this.#release',
    replace: 'if (false) this.#release',
  },
  {
    ...flight,
    name: 'broken bytes stay',
    find: 'if (!landing) await store.discard',
    replace: 'if (false) await store.discard',
  },
  { ...reader, name: 'who joins late takes what was overtaken', find: '&& !joinedLate', replace: '' },
  {
    ...reader,
    name: 'the invalidating process goes on with its load',
    find: '    this.#flights.delete(key);\n    this.#airspace',
    replace: '    this.#airspace',
  },
  { ...reader, name: 'a shutdown keeps its leases', find: 'lease.giveBack()', replace: 'lease.end()' },
  {
    name: 'a late grant is kept',
    file: 'libs/cache/cache.store.ts',
    specs: service,
    find: "if (kind === 'load') void",
    replace: "if (kind === 'hit') void",
  },
  {
    name: 'nobody asks again after a re-subscribe',
    file: 'libs/cache/wake-ups.ts',
    specs: service,
    find: '      this.wakeAll();\n',
    replace: '',
  },
  {
    name: 'callers share one object',
    file: 'libs/cache/copies.ts',
    specs: service,
    find: 'this.#taken = true;',
    replace: '',
  },
  {
    name: 'an override and what it inherits share a key',
    file: 'libs/cache/default-keys.ts',
    specs: decorator,
    find: 'declaredBy.name === className ? className',
    replace: 'declaredBy.name !== null ? className',
  },
  {
    name: 'configuration does not outrank the decorator',
    file: 'libs/cache/cache.service.ts',
    specs: decorator,
    find: 'this.#options.loads, declared, this.#options.methods.get(method) ?? {}',
    replace: 'this.#options.loads, this.#options.methods.get(method) ?? {}, declared',
  },
];
