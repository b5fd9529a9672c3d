/** Faults in what operators do about a queue: tasks that are lost, or waits that end too early or never. */
const purge = { file: 'libs/queue/store/scripts/purge.script.ts', specs: ['libs/queue/admin/purge'] };
const running = { file: 'libs/queue/store/scripts/running.script.ts', specs: ['libs/queue/admin/pause.wait'] };
const pauses = { file: 'libs/queue/admin/pause-switch.ts', specs: ['libs/queue/admin/pause.wait'] };
const letters = { file: 'libs/queue/admin/dead-letters.options.ts', specs: ['libs/queue/admin/dead-letters'] };

export default [
  {
    ...purge,
    name: 'a purge removes what a worker has',
    find: 'if pending[2] ~= released and not isParked(pending[2]) then return nil end',
    replace: '',
  },
  {
    ...purge,
    name: 'a purge leaves what was returned',
    find: "rows[#rows + 1] = redis.call('XRANGE', stream, row[1], row[1])[1] or { row[1], {} }",
    replace: '',
  },
  {
    ...purge,
    name: 'a purge follows the tasks that are published meanwhile',
    find: '  to = last[1]',
    replace: "  to = '+'",
  },
  {
    ...purge,
    name: 'a purge removes what one group has settled and another has not',
    find: "if after == '' or isBefore(after, last) then from = '(' .. last end",
    replace: '',
  },
  {
    ...purge,
    name: 'a purge leaves the index of what it removes',
    find: '    unindex(index, tasks[n] or id, id)',
    replace: '',
  },
  {
    ...purge,
    name: 'a purge takes any name for a group',
    find: "if not info then return { 0, 0, 0, '', '', names } end",
    replace: '',
  },
  {
    ...purge,
    name: 'a purge leaves the bodies of delayed tasks',
    find: "redis.call('HDEL', bodies, unpack(handles))",
    replace: '',
  },
  {
    file: 'libs/queue/admin/queue-purge.ts',
    specs: ['libs/queue/admin/purge'],
    name: "a purge leaves the group's own retries",
    find: '(await this.#waiting(queue, keys, group)) + (await this.#waiting(queue, retries, group, true))',
    replace: '(await this.#waiting(queue, keys, group))',
  },
  {
    file: 'libs/queue/store/scripts/run-now.script.ts',
    specs: ['libs/queue/admin/purge'],
    name: 'a task that is due now is told to nobody',
    find: "tell('queue:due', target, '0')",
    replace: '',
  },
  {
    file: 'libs/queue/store/scripts/run-now.script.ts',
    specs: ['libs/queue/store/scripts/delays'],
    name: 'runNow puts off what is due already',
    find: "'XX', 'LT',",
    replace: "'XX',",
  },
  {
    file: 'libs/queue/admin/task-search.ts',
    specs: ['libs/queue/admin/purge'],
    name: 'runNow leaves a task where only other software reads',
    find: 'if (isDue && !found.own)',
    replace: 'if (isDue && found.own)',
  },
  {
    ...running,
    name: 'a pause waits for the tasks of a dead process',
    find: 'return ends and tonumber(ends) > now',
    replace: 'return true',
  },
  {
    ...running,
    name: 'a pause does not wait for other software',
    find: "'${CONSUMER_PREFIX}' then return true end",
    replace: "'${CONSUMER_PREFIX}' then return false end",
  },
  {
    ...running,
    name: "a pause does not wait for a group's own retries",
    find: 'for i = 4, #KEYS do count(KEYS[i]) end',
    replace: '',
  },
  {
    ...pauses,
    name: 'a pause that was ended goes on to wait',
    find: 'if (!paused) throw',
    replace: 'if (paused && !paused) throw',
  },
  {
    file: 'libs/queue/worker/worker-lease.ts',
    specs: ['libs/queue/admin/pause.wait'],
    name: 'a pause of this process stops nothing',
    find: 'return this.#paused || this.#pausedHere || this',
    replace: 'return this.#paused || this',
  },
  {
    file: 'libs/queue/worker/control/local-pauses.ts',
    specs: ['libs/queue/admin/pause.wait'],
    name: 'a pause of this process does not wait for what runs',
    find: 'await Promise.all(this.#workersOn(queue).map((worker) => worker.finished().then(() => worker.settled())));',
    replace: 'await Promise.resolve(this.#workersOn(queue));',
  },
  {
    ...letters,
    name: 'a filter without a value deletes all dead letters',
    find: "if (given && options.filter === undefined && Object.hasOwn(given, 'filter')) {",
    replace: 'if (given === undefined && options.filter !== undefined) {',
  },
  {
    ...letters,
    name: 'a filter that answers later chooses all dead letters',
    find: "refusePromise(chosen, `what ${path} returns`, 'true or false, not a promise');",
    replace: '',
  },
  {
    ...letters,
    name: 'named tasks delete all dead letters for an option that is none',
    file: 'libs/queue/admin/whole-queue.ts',
    find: 'const { filter } = checkLetterPurge(options);',
    replace: 'const filter = options?.filter;',
  },
];
