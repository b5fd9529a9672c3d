/** Faults in the limits of queues: too many, or too few. */
const specs = ['libs/queue/limits/length'];
const script = { file: 'libs/queue/store/scripts/publish-limited.script.ts', specs };
const line = { file: 'libs/queue/publish/room-line.ts', specs: ['libs/queue/publish/room-line'] };
const lengths = { file: 'libs/queue/limits/length-limits.ts', specs };

export default [
  {
    ...script,
    name: 'delayed tasks do not count',
    find: " + redis.call('ZCARD', delayed)\n",
    replace: '\n',
  },
  {
    ...script,
    name: 'the own retries of a group do not count',
    find: "redis.call('XLEN', side .. 'retry:' .. row[2]) + redis.call('ZCARD', side .. 'delayed:' .. row[2])",
    replace: '0',
  },
  {
    ...script,
    name: 'the tasks of a publishMany count as one',
    find: 'length + (#ARGV - rest) / 6 > limit',
    replace: 'length + 1 > limit',
  },
  {
    ...script,
    name: 'a queue may have one task more',
    find: 'rest) / 6 > limit',
    replace: 'rest) / 6 > limit + 1',
  },
  {
    ...script,
    name: 'a delayed task of a limited queue runs at once',
    find: 'if delayMs > 0 or runAtMs >= 0 then',
    replace: 'if runAtMs >= 0 then',
  },
  {
    ...line,
    name: 'all that wait for room look for it',
    find: 'if (this.#waiters[0] !== me) continue;',
    replace: '',
  },
  {
    ...line,
    name: 'the next one of the line is not woken',
    find: 'this.#waiters[0]?.wake();',
    replace: '',
  },
  {
    ...line,
    name: 'a signal does not end the wait for room',
    find: "signal?.addEventListener('abort', me.wake, { once: true });",
    replace: '',
  },
  {
    ...lengths,
    name: 'a length of the definition comes before that of the configuration',
    find: 'if (queues.size === 0) return declared;',
    replace: 'if (queues.size === 0 || declared) return declared;',
  },
  {
    ...lengths,
    name: 'a length of all named tasks together is ignored',
    find: 'if (names.length > 1 && queues.get(whole)?.maxLength !== undefined) {',
    replace: 'if (names.length > 9) {',
  },
  {
    ...lengths,
    name: 'a length of the configuration replaces that of the definition',
    find: 'changedLength(limit, maxLength,',
    replace: 'changedLength(undefined, maxLength,',
  },
  {
    file: 'libs/queue/limits/length-limit.ts',
    name: 'a waitMs of the configuration that has no effect is taken',
    find: "  if (onFull === 'reject') refuseWaitMs(change, path);\n  return { limit, onFull, waitMs };",
    replace: '  return { limit, onFull, waitMs };',
    specs,
  },
  {
    ...lengths,
    name: 'publishes under a key pass the length',
    find: 'if (lengthLimitOf(queue, name, queues) === undefined) return;',
    replace: 'return;',
  },
  {
    file: 'libs/queue/publish/limited-publisher.ts',
    name: 'a publish that comes later does not stand in line',
    find: 'const ids = waiting === undefined ? await look() : undefined;',
    replace: 'const ids = await look();',
    specs: ['libs/queue/limits/length'],
  },
];
