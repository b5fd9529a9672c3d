/** Faults in the history of queues: records that are missing, doubled, of something else, or more than were asked for. */
const script = ['libs/queue/store/scripts/history.script.spec'];
const paths = ['libs/queue/history/history.paths.spec'];
const whole = ['libs/queue/history/history.spec'];
const options = ['libs/queue/history/history.options.spec'];
const scripts = 'libs/queue/store/scripts';
const fragment = { file: `${scripts}/history.fragment.ts`, specs: script };
const runs = { file: 'libs/queue/history/run-records.ts', specs: whole };

export default [
  {
    ...fragment,
    name: 'a history may have some more records than it says',
    find: "'MAXLEN', '=', run.keep",
    replace: "'MAXLEN', '~', run.keep",
  },
  {
    ...fragment,
    name: 'a large payload is kept in the history',
    specs: whole,
    find: 'bytes > ${RECORDED_MAX_BYTES}',
    replace: 'bytes > 9 * ${RECORDED_MAX_BYTES}',
  },
  {
    ...fragment,
    name: 'a history of another type is noticed after the first write',
    find: "if isKept and not isOf(history, 'stream') then",
    replace: "if false and not isOf(history, 'stream') then",
  },
  {
    ...fragment,
    name: 'a record without a timestamp was published long ago',
    find: "kept.timestamp = string.format('%.0f', math.floor(tonumber(string.match(id, '^%d+')) / 1000))",
    replace: "kept.timestamp = '0'",
  },
  {
    file: `${scripts}/ack-recorded.script.ts`,
    name: 'an acknowledgement that finds nothing is recorded too',
    find: "if redis.call('XACK', stream, group, id) == 1 then",
    replace: "if redis.call('XACK', stream, group, id) >= 0 then",
    specs: script,
  },
  {
    file: `${scripts}/ack-recorded.script.ts`,
    name: 'a recorded task does not count in its join',
    find: "    settleMember(members[n], 'completed')\n",
    replace: '',
    specs: ['libs/queue/history/history.paths.spec'],
  },
  {
    file: `${scripts}/complete.script.ts`,
    name: 'a task whose publisher waits is not recorded',
    find: 'rememberEntry(id, task, run)',
    replace: '',
    specs: script,
  },
  {
    file: `${scripts}/commit.script.ts`,
    name: 'a task with notes is not recorded',
    find: 'rememberEntry(id, task, run)',
    replace: '',
    specs: script,
  },
  {
    file: `${scripts}/ack-keyed.script.ts`,
    name: 'a task of an ordered queue is not recorded',
    find: 'if next(recorded) then',
    replace: 'if false then',
    specs: paths,
  },
  {
    file: `${scripts}/ack-keyed.script.ts`,
    name: 'an ordered queue acknowledges what it cannot record',
    find: 'refusedRecord(next(runs) ~= nil)',
    replace: 'refusedRecord(false)',
    specs: paths,
  },
  {
    file: `${scripts}/dead-letter.fragment.ts`,
    name: 'the record of a failure does not say why',
    find: 'letter.run.how, letter.run.said = letter.reason, letter.failure',
    replace: 'letter.run.how = letter.run.how',
    specs: script,
  },
  {
    file: `${scripts}/take-over.fragment.ts`,
    name: 'a task that killed its processes is not recorded',
    find: 'if keep == 0 then return nil end',
    replace: 'if keep >= 0 then return nil end',
    specs: script,
  },
  {
    file: `${scripts}/take-over.fragment.ts`,
    name: 'a task is buried although it cannot be recorded',
    find: ' and not refusedRecord(keep > 0) then',
    replace: ' and not refusedRecord(false) then',
    specs: script,
  },
  {
    file: `${scripts}/settle-failure.script.ts`,
    name: 'a dead letter is made although it cannot be recorded',
    find: "  refused = refusedRecord(run ~= '')\n",
    replace: '',
    specs: script,
  },
  {
    file: 'libs/queue/worker/settling/ack-batcher.ts',
    name: 'tasks that are acknowledged with others are not recorded',
    find: 'if (this.#options.records.keeps.completed > 0) return this.#ackRecorded(batch);',
    replace: '',
    specs: whole,
  },
  {
    ...runs,
    name: 'a run began when it was recorded',
    find: 'begunMs === undefined ? -1 : Math.round(this.#clock.monoMs() - begunMs)',
    replace: 'begunMs === undefined ? -1 : 0',
  },
  {
    ...runs,
    name: 'a dropped task is recorded as one that was done',
    find: "delivery.endedAs === 'dropped' ? 'dropped' : 'completed'",
    replace: "delivery.endedAs === undefined ? 'dropped' : 'completed'",
  },
  {
    file: 'libs/queue/store/queue.keys.ts',
    name: 'each level has a history of its own',
    find: "keyspace.main('queue', '', partsOfPlace(place).queue)",
    replace: 'queueKeys(keyspace, place).stream',
    specs: whole,
  },
  {
    file: 'libs/queue/history/history-of.ts',
    name: 'the configuration takes the place of the whole history',
    find: '{ ...history, ...withoutMissing(change) }',
    replace: '{ ...withoutMissing(change) }',
    specs: options,
  },
  {
    file: 'libs/queue/history/history-pages.ts',
    name: 'a page begins with the last record of the page before',
    find: '`(${from}`',
    replace: '`${from}`',
    specs: whole,
  },
  {
    file: 'libs/testing/in-process/outcomes/testing-history.ts',
    name: 'a test keeps all records',
    find: '    records.length = Math.min(records.length, keep);\n',
    replace: '',
    specs: ['libs/testing/in-process/outcomes/testing-history.spec'],
  },
  {
    file: `${scripts}/ack-recorded.script.ts`,
    specs: script,
    name: 'a user without XRANGE settles tasks that have no record',
    find: "'XRANGE', ...JOIN_WRITES",
    replace: '...JOIN_WRITES',
  },
  {
    file: `${scripts}/complete.script.ts`,
    specs: script,
    name: 'a user without XRANGE settles a task with a result that has no record',
    find: "'XADD', 'XRANGE'",
    replace: "'XADD'",
  },
];
