/** Faults that no result shows, only what the app costs. */
const specs = ['test/e2e/structure'];

export default [
  {
    file: 'libs/queue/worker/worker-pool.ts',
    name: 'a socket per queue',
    find: '[...new Set(handlers.map((handler) => handler.options.group))]',
    replace: 'handlers.map((handler) => handler.options.group)',
    specs,
  },
  {
    file: 'libs/queue/worker/ack-batcher.ts',
    name: 'an acknowledgement per task',
    find: 'this.#waiting.splice(0, BATCH)',
    replace: 'this.#waiting.splice(0, 1)',
    specs,
  },
  {
    file: 'libs/queue/worker/task-runner.ts',
    name: 'a timer per task',
    find: '    this.#running++;',
    replace: '    this.#running++;\n    clearTimeout(setTimeout(() => {}, 60_000));',
    specs,
  },
  {
    file: 'libs/sluice/sluice.module.ts',
    name: 'handlers without the queue feature are silent',
    find: 'if (unhandled.length === 0) return;',
    replace: 'return;',
    specs: ['libs/sluice/sluice.module'],
  },
  {
    file: 'libs/sluice/unhandled-queues.ts',
    name: 'a queue module beside SluiceModule is not seen',
    find: 'if (providers.has(QUEUE_SERVICE)) return [];',
    replace: '',
    specs: ['libs/sluice/sluice.module'],
  },
];
