/** Faults in what keeps tasks from being lost, doubled or settled twice. */
const scripts = ['libs/queue/scripts/scripts'];
const settle = { file: 'libs/queue/scripts/settle-failure.script.ts', specs: scripts };
const fragments = { file: 'libs/queue/scripts/fragments.ts', specs: ['libs/queue/scripts/'] };
const reap = { file: 'libs/queue/scripts/reap.script.ts', specs: ['libs/queue/scripts/reap'] };
const handBack = { file: 'libs/queue/scripts/hand-back.script.ts', specs: scripts };
const lease = { file: 'libs/queue/lease.ts', specs: ['libs/queue/lease'] };
const worker = { file: 'libs/queue/worker.ts' };
const recovery = ['libs/queue/recovery'];
const consuming = ['libs/queue/consuming.spec'];
const outage = ['libs/queue/consuming.outage'];
const drain = ['libs/queue/drain'];

export default [
  { ...settle, name: 'a failure is settled by whoever', find: 'pending[2] ~= consumer or', replace: '' },
  { ...settle, name: 'an earlier delivery settles the current one', find: 'or pending[4] ~= deliveries', replace: '' },
  {
    ...settle,
    name: 'a retry leaves the original pending',
    find: "redis.call('XACK', stream, group, id)\nforget(id)",
    replace: 'forget(id)',
  },
  {
    ...settle,
    name: 'on a full server a retry is refused',
    find: "redis.call('XACK', stream, group, id)\nforget(id)",
    replace: "redis.call('XADD', stream, '*', 'payload', '1')\nredis.call('XACK', stream, group, id)\nforget(id)",
  },
  { ...fragments, name: 'a second group loses its entries', find: '== 1 then', replace: '>= 1 then' },
  {
    ...fragments,
    name: 'a task is lost when it cannot be buried',
    find: "is == kind or is == 'none'",
    replace: 'true',
  },
  { ...reap, name: 'a stale proof judges', find: ' and now < endsMs', replace: '' },
  { ...reap, name: 'a lease that Redis has lost judges', find: ' and mine >= endsMs', replace: '' },
  {
    ...reap,
    name: 'leases of the dead stay for ever',
    find: "redis.call('ZREMRANGEBYSCORE', alive, '-inf', now)",
    replace: '',
  },
  { ...reap, name: 'a script is given more than it holds', find: 'math.min(capacity, 1000)', replace: 'capacity' },
  {
    file: 'libs/queue/scripts/renew.script.ts',
    specs: scripts,
    name: 'on a full server nobody lives',
    find: "redis.call('ZREM', alive, consumer)",
    replace: '',
  },
  {
    ...lease,
    name: 'a lease runs while the machine sleeps',
    find: ' && clock.wallMs() < this.#heldUntil.wallMs',
    replace: '',
  },
  { ...reap, name: 'a young lease judges', find: 'now - sinceMs >= leaseMs and ', replace: '' },
  {
    ...reap,
    name: 'consumers of other software are robbed',
    find: 'string.sub(name, 1, #prefix) ~= prefix',
    replace: 'false',
  },
  {
    ...reap,
    name: 'what was handed back waits for a proof',
    find: 'if name == released then return true end',
    replace: '',
  },
  { ...reap, name: 'room is counted per consumer', find: '#claimed + #ids < room', replace: '#ids < room' },
  {
    ...reap,
    name: 'a consumer is deleted with what is pending',
    find: "if #redis.call('XPENDING', stream, group, '-', '+', 1, name) == 0 then",
    replace: 'if true then',
  },
  { ...reap, name: 'poison is delivered for ever', find: 'count >= maxDeliveries', replace: 'false' },
  {
    ...handBack,
    name: 'tasks of others are handed back',
    find: 'if pending and pending[2] == consumer',
    replace: 'if pending',
  },
  { ...handBack, name: 'what never started counts as delivered', find: 'pending[4] - 1', replace: 'pending[4]' },
  {
    ...lease,
    name: 'a lost reply leaves the lease unbroken',
    find: 'unbroken && nowMs < this.#unbroken.endsMs',
    replace: 'unbroken',
  },
  { ...lease, name: 'a lease taken away counts as unbroken', find: 'unbroken && nowMs', replace: 'nowMs' },
  {
    ...worker,
    name: 'a task that came back runs twice at once',
    find: 'known.deliveries = entry.deliveries;\n        continue;',
    replace: '',
    specs: recovery,
  },
  {
    ...worker,
    name: 'a task that came back is never settled',
    find: 'known.deliveries = entry.deliveries;',
    replace: '',
    specs: recovery,
  },
  {
    ...worker,
    name: 'tasks start without a lease',
    find: 'if (this.suspect || !this.lease.held) return;',
    replace: '',
    specs: ['test/e2e/queue'],
  },
  {
    ...worker,
    name: 'more run than were asked for',
    find: 'while (this.#running < concurrency && ',
    replace: 'while (',
    specs: consuming,
  },
  {
    file: 'libs/queue/audit.ts',
    name: 'what others took over is kept',
    find: 'if (pending.length < limit) worker.keepOnly(',
    replace: 'void (',
    specs: recovery,
  },
  {
    file: 'libs/queue/audit.ts',
    name: 'lost deliveries stay lost',
    find: 'if (lost.length === 0) return;',
    replace: 'if (lost.length >= 0) return;',
    specs: recovery,
  },
  {
    file: 'libs/queue/upkeep.ts',
    name: 'early tasks are skipped',
    find: "group, '0', 'MKSTREAM'",
    replace: "group, '$', 'MKSTREAM'",
    specs: consuming,
  },
  {
    file: 'libs/queue/loops/reader.ts',
    name: 'a queue with credit waits for the others',
    find: 'if (this.#reading?.has(worker) !== true) this.interrupt();',
    replace: '',
    specs: consuming,
  },
  {
    file: 'libs/queue/loops/reader.ts',
    name: 'one sick stream stops all',
    find: 'for (const worker of ready) worker.open = false;',
    replace: '',
    specs: outage,
  },
  {
    file: 'libs/queue/crew.ts',
    name: 'what did not start waits for the slowest task',
    find: 'await Promise.all(this.#workers.map((worker) => this.#handBack(worker, worker.takeUnstarted())));',
    replace: '',
    specs: drain,
  },
  {
    file: 'libs/queue/crew.ts',
    name: 'a stop does not wait',
    find: 'await this.#within(this.#options.drainMs, (worker) => worker.finished());',
    replace: '',
    specs: drain,
  },
  {
    file: 'libs/queue/queue.module.ts',
    name: 'queues drain after the database closed',
    find: 'return this.#connections.shutdown.drain();',
    replace: 'return Promise.resolve();',
    specs: drain,
  },
];
