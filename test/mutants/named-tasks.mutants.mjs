/** Faults in what makes a queue of named tasks one queue: its names, its pause, its options, its common limit. */
const specs = ['libs/queue/named-tasks'];
const names = { file: 'libs/queue/store/scripts/names.script.ts', specs };
const registry = { file: 'libs/queue/handlers/handler.registry.ts', specs };
const whole = { file: 'libs/queue/admin/whole-queue.ts', specs };
const window = { file: 'libs/queue/worker/concurrency-window.ts', specs };
const counts = { file: 'libs/queue/worker/loops/read-counts.ts', specs: ['libs/queue/worker/neighbours'] };

export default [
  {
    ...names,
    name: 'a name that joins a paused queue runs',
    find: "if redis.call('EXISTS', pausedNames) == 1 then",
    replace: 'if false then',
  },
  {
    ...names,
    name: 'a process that starts pauses a name that was resumed alone',
    find: "if not isOf(names, 'set') or redis.call('SADD', names, name) == 0 then return 0 end",
    replace: "if not isOf(names, 'set') then return 0 end redis.call('SADD', names, name)",
  },
  {
    ...names,
    name: 'a bad key of the names keeps its tasks from running',
    find: "if not isOf(names, 'set') or redis.call",
    replace: 'if redis.call',
  },
  {
    ...names,
    name: 'a resume of the whole leaves later names paused',
    find: "if later == 0 then redis.call('DEL', pausedNames) end",
    replace: '',
  },
  {
    name: 'a worker does not tell its name',
    file: 'libs/queue/worker/loops/maintenance.ts',
    find: 'await this.#joinNames(worker);',
    replace: '',
    specs,
  },
  {
    ...whole,
    name: 'names of other releases are left out',
    find: 'new Set([...Object.keys(tasks), ...[...known].sort()])',
    replace: 'new Set([...Object.keys(tasks), ...[...known].slice(0, 0)])',
  },
  {
    ...whole,
    name: 'a name without a group keeps the letters of the others',
    find: "if (!isSluiceError(error, 'SLUICE_QUEUE_NO_GROUP')) throw error;",
    replace: "if (isSluiceError(error, 'SLUICE_QUEUE_NO_GROUP')) throw error;",
  },
  {
    ...whole,
    name: 'a filter of letters is not told the name',
    find: 'filter: (letter) => filter({ ...letter, name })',
    replace: 'filter: (letter) => (name === undefined ? false : filter(letter))',
  },
  {
    ...registry,
    name: 'two queues share one name in options',
    find: 'this.#refuseOneNameForTwo(site, queue, names);',
    replace: '',
  },
  {
    ...registry,
    name: 'a queue that two names of a list mean is worked on twice',
    find: 'return [...new Set(named)];',
    replace: 'return named;',
  },
  {
    name: 'the options of a name do not come before those of its queue',
    file: 'libs/queue/named-tasks.ts',
    find: 'return [...new Set([task.queue, `${task.queue}.${task.name}`, stream])];',
    replace: 'return [...new Set([`${task.queue}.${task.name}`, stream, task.queue])];',
    specs,
  },
  {
    ...window,
    name: 'the common limit does not count',
    find: 'this.#common?.begin();',
    replace: '',
  },
  {
    ...window,
    name: 'the common limit is that of all groups',
    find: "['names', ofAllNames.queue, group]",
    replace: "['names', ofAllNames.queue]",
  },
  {
    ...window,
    name: 'room goes to the name that made it',
    find: `      this.#common.#pumpInTurn();
      return;`,
    replace: '',
  },
  {
    ...whole,
    name: 'a process that has read one name is listed twice',
    find: 'if (worker.group === undefined && reads.has(worker.consumer)) continue;',
    replace: '',
  },
  {
    ...counts,
    name: 'names that compete do not take turns',
    find: 'const from = this.#reads++ % workers.length;',
    replace: 'const from = 0 * this.#reads++;',
  },
  {
    name: 'a task is not told its name',
    file: 'libs/queue/handlers/handler-run.ts',
    find: 'withName(task, named.name)',
    replace: "withName(task, '')",
    specs,
  },
];
