/** Faults in the cancelling of tasks: tasks that run on, run again, or are lost although nobody cancelled them. */
const specs = ['libs/queue/admin/cancel'];
const script = { file: 'libs/queue/store/scripts/cancel.script.ts', specs };
const settle = { file: 'libs/queue/store/scripts/settle-failure.script.ts', specs };
const takeOver = { file: 'libs/queue/store/scripts/take-over.fragment.ts', specs };

export default [
  {
    ...script,
    name: 'a cancelled task that its process has not heard of is tried again',
    find: "redis.call('ZADD', cancelled, string.format('%.0f', now), id .. ' ' .. info.name)",
    replace: '',
  },
  {
    ...script,
    name: 'a process is not told that a task is cancelled',
    find: "frame('queue:cancelled', stream, info.name, id))",
    replace: "frame('queue:cancelled-not', stream, info.name, id))",
  },
  {
    ...script,
    name: 'what a group has settled is aborting for ever',
    find: "if not pending and not isBefore(info['last-delivered-id'], id) then return 0 end",
    replace: '',
  },
  {
    ...script,
    name: 'the mark of a task that succeeded stays',
    find: "redis.call('ZREM', cancelled, mark)",
    replace: '',
  },
  {
    ...script,
    name: 'the mark of a task that is still to begin is deleted',
    find: 'or not isBefore(last[name], id) or',
    replace: 'or true or',
  },
  {
    ...script,
    name: 'a renewal aborts what another process has',
    find: 'if name == group and pending[2] == consumer then',
    replace: 'if name == group and pending[2] ~= consumer then',
  },
  {
    ...settle,
    name: 'a cancelled task that fails is tried again, or a dead letter',
    find: 'if isMarked(id) then',
    replace: 'if false then',
  },
  {
    ...settle,
    name: 'the mark of a dropped task stays',
    find: '  unmark(id)',
    replace: '',
  },
  {
    ...takeOver,
    name: 'a cancelled task of a dead process runs again',
    find: 'if not hasMarks or not isMarked(id) then return false end',
    replace: 'if true then return false end',
  },
  {
    ...takeOver,
    name: 'all tasks of a dead process are dropped if one of them is cancelled',
    find: 'if not hasMarks or not isMarked(id) then return false end',
    replace: 'if not hasMarks then return false end',
  },
  {
    file: 'libs/queue/store/scripts/marked.fragment.ts',
    specs,
    name: 'a cancel in one group drops the task in all',
    find: "redis.pcall('ZSCORE', cancelled, id .. ' ' .. group)) == 'string'",
    replace: "redis.call('ZCARD', cancelled)) == 'number'",
  },
  {
    file: 'libs/queue/store/scripts/renew-all.script.ts',
    specs,
    name: 'a renewal does not tell that tasks are cancelled',
    find: " + redis.call('EXISTS', cancelled) * ${CANCELLED}",
    replace: '',
  },
  {
    file: 'libs/queue/worker/worker.ts',
    specs,
    name: 'a prefetched task runs although it is cancelled',
    find: `    this.#prefetched.splice(at, 1);
    void this.#runner.drop(delivery);`,
    replace: '',
  },
  {
    file: 'libs/queue/worker/control/cancellations.ts',
    specs,
    name: 'a message aborts the run of another group',
    find: 'worker.keys.stream === stream && worker.handler.options.group === group',
    replace: 'worker.keys.stream === stream || worker.handler.options.group === group',
  },
  {
    file: 'libs/queue/worker/control/cancellations.ts',
    specs,
    name: 'a cancelled task is not counted',
    find: 'tally.taskCancelled();',
    replace: '',
  },
];
