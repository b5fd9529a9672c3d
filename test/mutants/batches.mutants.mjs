/** Faults in batches: tasks that wait too long, neighbours that fail with one, places that are counted wrong. */
const former = { file: 'libs/queue/worker/batches/batch-former.ts', specs: ['libs/queue/worker/batches/batch-former'] };
const runner = {
  file: 'libs/queue/worker/batches/batch-runner.ts',
  specs: ['libs/queue/worker/batches/batch-members'],
};
const run = { file: 'libs/queue/handlers/batch-run.ts', specs: ['libs/queue/worker/batches/batch-members'] };
const window = { file: 'libs/queue/worker/concurrency-window.ts', specs: ['libs/queue/worker/batches/batches.spec'] };
const worker = { file: 'libs/queue/worker/worker.ts', specs: ['libs/queue/worker/batches/batches.spec'] };
const options = { file: 'libs/queue/task/batch.options.ts', specs: ['libs/queue/task/batch.options'] };
const registry = { file: 'libs/queue/handlers/handler.registry.ts', specs: ['libs/queue/task/batch.options'] };
const testing = {
  file: 'libs/testing/in-process/testing-queue.ts',
  specs: ['libs/testing/in-process/testing-batches'],
};

export default [
  {
    ...former,
    name: 'each further task prolongs the wait',
    find: 'Math.min(least, takenMs), Infinity)',
    replace: 'Math.max(least, takenMs), -Infinity)',
  },
  { ...former, name: 'a full batch waits as well', find: 'prefetched.length >= max || ', replace: '' },
  {
    ...former,
    name: 'a batch waits although no more tasks are read',
    find: ' || !window.wantsMore',
    replace: '',
  },
  {
    ...former,
    name: 'a task that kills processes runs with others',
    find: 'delivery.task === undefined || isolation.concerns(delivery)',
    replace: 'delivery.task === undefined',
  },
  {
    ...former,
    name: 'nothing wakes a batch whose time is over',
    find: 'clock.timer(leftMs, onTime)',
    replace: '() => {}',
  },
  {
    ...former,
    name: 'an entry that is no task runs in a batch',
    find: 'delivery.task === undefined || isolation',
    replace: 'isolation',
  },
  {
    ...runner,
    name: 'of a batch that took too long, all tasks fail with the error of the first',
    find: 'ofThis(delivery, failure.error), ended[i]',
    replace: 'failure.error, ended[i]',
  },
  {
    ...runner,
    name: 'when the time is over, the first signal aborts, and no other',
    find: 'for (const delivery of deliveries) delivery.abort',
    replace: 'for (const delivery of deliveries.slice(0, 1)) delivery.abort',
  },
  {
    ...run,
    name: 'a throw fails those again that have failed alone',
    find: 'failure ?? thrown)',
    replace: 'thrown ?? failure)',
  },
  {
    ...run,
    name: 'the dead letter of one task is that of all',
    find: 'isOfOne(members, error) ? endedByOne(site, error) : error',
    replace: 'error',
  },
  {
    ...run,
    name: 'the handler gets what the schema has refused',
    find: 'schema ? members.filter(({ failure }) => failure === undefined) : [...members]',
    replace: '[...members]',
  },
  {
    ...run,
    name: 'one task that the schema refuses fails them all',
    find: 'member.fail(error);',
    replace: 'throw error;',
  },
  {
    ...run,
    name: 'a handler that changes its array changes what is settled',
    find: ': [...members];',
    replace: ': members;',
    specs: ['libs/queue/worker/batches/batches.spec'],
  },
  {
    ...run,
    name: 'a task that is cancelled ends what the whole batch returned',
    find: 'if (--left === 0) controller',
    replace: 'controller',
    specs: ['libs/queue/worker/batches/batch-members'],
  },
  {
    file: 'libs/queue/task/batch-task.ts',
    specs: ['libs/queue/worker/batches/batch-members'],
    name: 'the last failure of a task counts',
    find: 'this.#failure ??= { error }',
    replace: 'this.#failure = { error }',
  },
  {
    ...window,
    name: 'a place is for one task',
    find: 'return this.#window - this.#running * this.#perPlace - this.#waiting;',
    replace: 'return this.#window - this.#running - this.#waiting;',
  },
  {
    ...window,
    name: 'a process reads no more than it has places',
    find: 'this.#window = this.#concurrency * this.#perPlace + this.prefetch;',
    replace: 'this.#window = this.#concurrency + this.prefetch;',
  },
  {
    ...worker,
    name: 'tasks that wait for a fuller batch are a surplus',
    find: ' && this.#batches?.mayForm !== true',
    replace: '',
  },
  {
    ...options,
    name: 'the configuration makes batches',
    find: 'if (batch !== undefined) throw',
    replace: 'if (false) throw',
  },
  { ...options, name: 'a batch may be of any size', find: 'if (max > MOST)', replace: 'if (false)' },
  {
    ...registry,
    name: 'enhancers are left out without a word',
    find: 'if (enhancers)',
    replace: 'if (false)',
  },
  {
    ...registry,
    name: 'a batch starts more in the fleet than may',
    find: 'if (fleet !== undefined)',
    replace: 'if (false)',
  },
  {
    ...registry,
    name: 'a batch starts more tasks than the rate',
    find: 'if (rateLimit)',
    replace: 'if (false)',
  },
  {
    ...testing,
    name: 'a batch of a test takes tasks that another group has',
    file: 'libs/testing/in-process/testing-tasks.ts',
    find: ' || (only && handler !== only)',
    replace: '',
  },
];
