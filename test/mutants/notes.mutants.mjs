/** Faults in what goes with an acknowledgement: writes that are done in part, twice, too early, by a worker that lost its task, or never. */
const script = 'libs/queue/store/scripts/commit.script.spec';
const ofWrites = 'libs/queue/store/scripts/commit-writes.script.spec';
const whole = 'libs/queue/notes/notes.spec';
const combined = 'libs/queue/notes/notes.combined.spec';
const notes = 'libs/queue/notes/task-notes.spec';
const writes = { file: 'libs/queue/store/scripts/writes.fragment.ts', specs: [ofWrites] };
const commit = { file: 'libs/queue/store/scripts/commit.script.ts', specs: [script] };
const sender = { file: 'libs/queue/notes/commit-sender.ts', specs: [whole] };
const taskNotes = { file: 'libs/queue/notes/task-notes.ts', specs: [notes] };

export default [
  {
    ...commit,
    name: 'a worker that lost its task writes as well',
    find: 'pending[2] ~= consumer or ',
    replace: '',
  },
  {
    ...commit,
    name: 'a run of an earlier delivery writes as well',
    find: ' or pending[4] ~= deliveries then',
    replace: ' then',
  },
  {
    ...commit,
    name: 'a repeated acknowledgement writes again',
    find: 'if not pending or',
    replace: 'if pending and',
  },
  {
    ...commit,
    name: 'writes are done without a check',
    find: 'if fault then return',
    replace: 'if false then return',
  },
  {
    ...commit,
    name: 'a task is acknowledged although its queue is something else',
    find: "if kind then return { 'next', n, 'type', kind } end",
    replace: '',
  },
  {
    ...commit,
    name: 'only the stream of the queue that follows is looked at',
    find: 'or later and (wrongKind',
    replace: 'or false and (wrongKind',
  },
  {
    ...commit,
    name: 'the leases of the queue that follows are not looked at',
    find: " or wrongKind(ARGV[i + 3], 'zset'))",
    replace: ')',
  },
  {
    ...commit,
    name: 'a task is acknowledged although the user may not publish what follows',
    find: "if not may then return { 'next', n, 'right', '' } end",
    replace: '',
  },
  {
    ...commit,
    name: 'a user may not read leases, and a task that is due later breaks off',
    find: "\n      and mayRun('ZREVRANGE', ARGV[i + 3], 0, 2)",
    replace: '',
  },
  {
    ...commit,
    name: 'a write takes the place of the queue after a join',
    find: "if member and wrongKind(member.join.target, 'stream') then return { 'write', 0, 'replaced', '' } end",
    replace: '',
  },
  {
    ...commit,
    name: 'an acknowledged task stays in the stream',
    find: 'if forget(id) then unindex(index, task, id) end',
    replace: '',
  },
  {
    ...commit,
    name: 'a member with notes never settles',
    find: "settleMember(member, 'completed')",
    replace: '',
  },
  {
    ...commit,
    specs: [combined],
    name: 'a task with notes has no result',
    find: "if outcome ~= '' then answer(meta, task, outcome, text) end",
    replace: '',
  },
  {
    ...commit,
    name: 'a full server refuses what it has begun',
    find: "redis.call('XACK', stream, group, id)\nrememberEntry(id, task, run)\nif forget(id) then unindex(index, task, id) end\nat = rest + 1",
    replace: 'at = rest + 1',
  },
  {
    ...commit,
    name: 'what follows at a time follows at once',
    find: 'if runAtMs >= 0 then delayMs = math.max(0, runAtMs - now) end',
    replace: '',
  },
  {
    ...commit,
    name: 'what follows later is delayed in the queue of its predecessor',
    find: 'delayed, bodies, alive = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]',
    replace: '',
  },
  {
    ...writes,
    specs: [script],
    name: 'a missing right is noticed in the middle',
    find: 'return not redis.acl_check_cmd or redis.acl_check_cmd(...)',
    replace: 'return true or ...',
  },
  {
    ...writes,
    name: 'a write replaces a queue',
    find: "if kind == 'stream' then return 'stream' end",
    replace: '',
  },
  {
    ...writes,
    name: 'a write fails in the middle on another type',
    find: "if kind ~= wanted and kind ~= 'none' then return 'type', kind end",
    replace: '',
  },
  {
    ...writes,
    name: 'any text is a number',
    find: "if not before or not change then return 'integer' end",
    replace: 'if not before then before = { high = 0, low = 0 } end',
  },
  {
    ...writes,
    name: 'a count overflows in the middle',
    find: "if not fits(after) then return 'overflow' end",
    replace: '',
  },
  {
    ...writes,
    name: 'the numbers of a list of writes are looked at one by one',
    find: '  if not numbers[key] then numbers[key] = {} end\n  numbers[key][field] = after\n',
    replace: '',
  },
  {
    ...writes,
    name: 'a number beyond 64 bits counts as one',
    find: 'return fits(number) and number',
    replace: 'return number',
  },
  {
    ...writes,
    name: 'what a list of writes sets is not remembered',
    find: "      kinds[key] = 'string'\n",
    replace: '',
  },
  {
    ...writes,
    name: 'a key that a write deletes keeps its numbers',
    find: "kinds[key], numbers[key], replaced[key] = 'none', nil, true",
    replace: "kinds[key], numbers[key], replaced[key] = 'none', nil, nil",
  },
  {
    ...writes,
    name: 'a negative decrement is subtracted',
    find: "string.sub(by, 1, 1) == '-' and string.sub(by, 2) or ",
    replace: '',
  },
  {
    ...writes,
    name: 'a field that a write sets keeps its number',
    find: "if name == 'hset' then setNumber(key, ARGV[at + 2], ARGV[at + 3]) end",
    replace: '',
  },
  {
    ...writes,
    name: 'a key that the writes make has no type',
    find: 'ARGV[at + 3]) end\n  kinds[key] = wanted\n',
    replace: 'ARGV[at + 3]) end\n',
  },
  {
    ...taskNotes,
    specs: ['libs/queue/notes/ack-write.spec'],
    name: 'a key in another slot is noticed by a Cluster only',
    find: 'if (slotOf(key) === slotOf(stream)) return key;',
    replace: 'if (slotOf(key) >= 0) return key;',
  },
  {
    ...taskNotes,
    specs: ['libs/queue/notes/ack-write.spec'],
    name: 'a handler deletes its own queue',
    find: 'if (key === stream) {',
    replace: 'if (key === queue + stream) {',
  },
  {
    ...taskNotes,
    name: 'a queue in another slot is noticed by a Cluster only',
    find: 'if (keyspace) checkSameSlot(keyspace, own, queue, site, ELSEWHERE);',
    replace: '',
  },
  {
    ...taskNotes,
    name: 'a run that has ended notes on',
    find: 'if (!this.#isClosed) return;',
    replace: 'if (site !== "") return;',
  },
  {
    ...taskNotes,
    name: 'any number of notes is one step',
    find: 'if (count > NOTES_MOST)',
    replace: 'if (count > 100 * NOTES_MOST)',
  },
  {
    ...taskNotes,
    name: 'a schema that takes its time refuses nothing',
    find: 'if (check) this.#wait(check);',
    replace: 'if (check) check.catch(() => {});',
  },
  {
    ...taskNotes,
    name: 'what follows has the trace of whoever sends it',
    find: 'const context = options.trace ?? trace?.();',
    replace: 'const context = options.trace;',
  },
  {
    ...sender,
    name: 'a refused write is repeated for ever',
    find: "if (commit.how === 'refused') return new TaskAckRefusedError",
    replace: "if (commit.how === 'refused') throw new TaskAckRefusedError",
  },
  {
    ...sender,
    specs: ['libs/queue/notes/notes.rights.spec'],
    name: 'a key that the user may not use is tried for ever',
    find: "if (!isUnavailable(error) || error.refusal !== 'NOPERM') throw error;",
    replace: 'throw error;',
  },
  {
    ...sender,
    specs: [combined],
    name: 'nobody moves what follows later, where no worker of ours reads',
    find: 'if (dueMs < Infinity) onDelayed(queue, queueKeys(keyspace, queue), dueMs);',
    replace: '',
  },
  {
    file: 'libs/queue/handlers/handler.registry.ts',
    specs: [combined],
    name: 'a task with notes does not open the next one of its key',
    find: ' || options.perKey !== undefined;',
    replace: ';',
  },
  {
    file: 'libs/queue/worker/task-runner.ts',
    specs: [whole],
    name: 'tasks with notes are acknowledged without them',
    find: 'if (delivery.noted !== undefined && !this.#aborted) {',
    replace: 'if (delivery.noted === delivery && !this.#aborted) {',
  },
  {
    file: 'libs/queue/worker/task-runner.ts',
    specs: [whole],
    name: 'a refused acknowledgement counts as a completed run',
    find: 'this.failed(delivery, refused, ended);',
    replace: 'onSettled(delivery);',
  },
  {
    file: 'libs/testing/in-process/outcomes/testing-notes.ts',
    specs: ['libs/testing/in-process/outcomes/testing-notes.spec'],
    name: 'in a test, what follows is not published',
    find: 'for (const { queue, payload, options } of notes.sent) this.#tasks.add(queue, payload, options);',
    replace: '',
  },
  {
    file: 'libs/testing/in-process/testing-queue.ts',
    specs: ['libs/testing/in-process/outcomes/testing-notes.spec'],
    name: 'in a test, nothing goes with an acknowledgement',
    find: '          await this.notes.acknowledged(waiting);\n',
    replace: '',
  },
];
