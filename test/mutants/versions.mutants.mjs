/** Faults in what keeps older releases away from data of newer ones. */
const uses = { file: 'libs/redis/script/uses.fragment.ts', specs: ['libs/redis/script/uses.fragment'] };
const worker = { specs: ['libs/queue/worker/loops/newer-data'] };
const entries = { file: 'libs/queue/worker/worker.ts', specs: ['libs/queue/worker/worker.spec'] };
const lock = { specs: ['libs/lock/acquiring/newer-data'] };
const scripts = 'libs/queue/store/scripts';

export default [
  {
    ...uses,
    name: 'any feature is known, once one is',
    find: 'if not known[found[i]] and',
    replace: 'if next(known) == nil and',
  },
  {
    ...uses,
    name: 'a key of another type is no newer data',
    find: "if found.err then return '?@?' end",
    replace: 'if found.err then return nil end',
  },
  {
    ...worker,
    name: 'a worker goes on in a queue with newer data',
    file: 'libs/queue/worker/worker-lease.ts',
    find: 'return this.#paused || this.#pausedHere || this.#unknown !== undefined;',
    replace: 'return this.#paused;',
  },
  {
    ...worker,
    name: 'a queue with newer data is opened all the same',
    file: 'libs/queue/worker/loops/maintenance.ts',
    find: 'await lease.look();',
    replace: '',
  },
  {
    ...worker,
    name: 'a renewal does not tell of newer data',
    file: 'libs/queue/worker/worker-lease.ts',
    find: 'this.#unknown = this.#left(unknown);',
    replace: 'void unknown;',
  },
  {
    ...worker,
    name: 'a queue is not taken up when the newer data is gone',
    file: 'libs/queue/worker/loops/lease-renewer.ts',
    find: 'if (lease.unknown !== before?.unknown) listener.usesChanged(worker);',
    replace: 'if (lease.unknown !== before?.unknown && lease.unknown) listener.usesChanged(worker);',
  },
  {
    ...worker,
    name: 'a publisher promotes newer delayed tasks',
    file: `${scripts}/promote.script.ts`,
    find: 'if refused then return refused end',
    replace: '',
  },
  {
    ...worker,
    name: 'a publisher tells of newer delayed tasks each time',
    file: 'libs/queue/publish/delayed-watch.ts',
    find: 'watched.leftAlone = true;',
    replace: '',
  },
  {
    ...worker,
    name: 'newer dead letters are redriven',
    file: `${scripts}/redrive.script.ts`,
    find: 'if refused then return refused end\nlocal readers',
    replace: 'local readers',
  },
  {
    ...worker,
    name: 'a group of newer data is dropped',
    file: `${scripts}/groups.script.ts`,
    find: 'if refused then return refused end',
    replace: '',
  },
  {
    ...entries,
    name: 'an entry that only a newer release can read is made a dead letter',
    find: 'if (delivery.task || !this.mayStart)',
    replace: 'if (delivery.task)',
  },
  {
    ...lock,
    name: 'a free lock with newer data is taken',
    file: 'libs/lock/store/scripts/grant.fragment.ts',
    find: "call('EXISTS', lock, queue, string.sub(queue, 1, ${-1 - QUEUE_SUFFIX.length}) .. 'uses') == 0",
    replace: "call('EXISTS', lock, queue) == 0",
  },
  {
    ...lock,
    name: 'a call waits for a lock with newer data',
    file: 'libs/lock/store/scripts/acquire.script.ts',
    find: 'if refused and not holds(nonce, owner) then return refused end',
    replace: '',
  },
  {
    ...lock,
    name: 'a lock with newer data is handed over',
    file: 'libs/lock/store/scripts/hand-over.fragment.ts',
    find: "if unknownUses(beside('uses')) then return end",
    replace: 'if unknownUses(queue) == 1 then return end',
  },
  {
    ...lock,
    name: 'waiters of a lock with newer data stay in its queue',
    file: 'libs/lock/store/scripts/heartbeat.script.ts',
    find: 'if refused and not granted and count > 0 then failed = refused end',
    replace: '',
  },
  {
    ...lock,
    name: 'a waiter with a record of a newer release loses its turn',
    file: 'libs/lock/store/scripts/hand-over.fragment.ts',
    find: "'^(%d+) (%d+) (%d+) (%d+)%S* (.*)$'",
    replace: "'^(%d+) (%d+) (%d+) (%d+) (.*)$'",
  },
  {
    ...lock,
    name: 'a holder with a record of a newer release is not told of its loss',
    file: 'libs/lock/store/scripts/force-release.script.ts',
    find: "'^(%S+) %d+%S* (.*)$'",
    replace: "'^(%S+) %d+ (.*)$'",
  },
];
