/** Faults that no result shows, only what the app costs. */
const specs = ['test/e2e/structure'];

export default [
  {
    file: 'libs/queue/worker/loops/stream-readers.ts',
    name: 'a socket per queue',
    find: 'of slots.split(ofGroup, ({ keys }) => keys.stream)) {',
    replace: 'of ofGroup.map((worker) => [worker])) {',
    specs,
  },
  {
    file: 'libs/queue/worker/settling/ack-batcher.ts',
    name: 'an acknowledgement per task',
    find: 'this.#waiting.splice(0, most)',
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
    file: 'libs/redis/redis.module.ts',
    name: 'handlers without the queue feature are silent',
    find: 'for (const warning of unservedMethods(this.#modules)) this.#connections.logger.warn(warning);',
    replace: '',
    specs: ['libs/sluice/sluice.module'],
  },
  {
    file: 'libs/weave/binding/weave.explorer.ts',
    name: 'objects of factories are refused without the name of the feature',
    find: ' ${addFeature(weaver.token)}',
    replace: '',
    specs: ['libs/sluice/sluice.module'],
  },
  {
    file: 'libs/weave/methods/served-methods.ts',
    name: 'a queue module beside SluiceModule is not seen',
    find: 'for (const token of providers.keys()) provided.add(token);',
    replace: '',
    specs: ['libs/sluice/sluice.module'],
  },
  {
    name: 'SluiceModule as a class boots without anything',
    file: 'libs/sluice/sluice.module.ts',
    specs: ['libs/sluice/sluice.module'],
    find: "if (connections === undefined) throw noOptions('SluiceModule');",
    replace: '',
  },
];
