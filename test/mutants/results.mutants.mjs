/** Faults in the waiting for results: calls that hang, get another's result or none, and tasks that suffer from a wait. */
const script = 'libs/queue/store/scripts/answer.script.spec';
const whole = 'libs/queue/results/results.spec';
const waits = 'libs/queue/results/task-waits.spec';
const answer = { file: 'libs/queue/store/scripts/answer.fragment.ts', specs: [script] };
const complete = { file: 'libs/queue/store/scripts/complete.script.ts', specs: [script] };
const taskWaits = { file: 'libs/queue/results/task-waits.ts', specs: [waits] };

export default [
  {
    ...answer,
    name: 'a result is not kept, so a lost message is a lost result',
    find: "redis.pcall('SET', side .. 'result:' .. token, kind .. ' ' .. text, 'PX', string.format('%.0f', leftMs))",
    replace: '',
  },
  {
    ...answer,
    name: 'a kept result never expires',
    find: ", 'PX', string.format('%.0f', leftMs))",
    replace: ')',
  },
  {
    ...answer,
    name: 'a result is kept although nobody waits any more',
    find: 'if published then leftMs',
    replace: 'if false then leftMs',
  },
  {
    ...answer,
    name: 'a producer decides how long Redis keeps a result',
    find: 'math.min(tonumber(ms), ${WAIT_MOST_MS})',
    replace: 'tonumber(ms)',
  },
  {
    ...answer,
    name: 'a result of any size is pushed',
    find: 'local isLarge = #text > ${INBOX_MAX_BYTES}',
    replace: 'local isLarge = false',
  },
  {
    ...answer,
    name: 'the result of another group counts',
    find: 'if group ~= wanted and',
    replace: 'if false and',
  },
  {
    ...answer,
    name: 'one group has to have the name that the publisher expects',
    find: "(stream == side .. 'retry:' .. group or #redis.call('XINFO', 'GROUPS', stream) > 1) then",
    replace: "stream ~= '' then",
  },
  {
    ...answer,
    name: 'the retries of another group count',
    find: "stream == side .. 'retry:' .. group or ",
    replace: '',
  },
  {
    ...answer,
    name: 'a token of any length becomes a part of a key',
    find: 'or #token ~= 22 then',
    replace: 'then',
  },
  {
    ...answer,
    name: 'a user without the right to keep results settles no task',
    find: "redis.pcall('SET'",
    replace: "redis.call('SET'",
  },
  {
    ...answer,
    name: 'a user without rights on channels settles no task',
    find: "redis.pcall('PUBLISH'",
    replace: "redis.call('PUBLISH'",
  },
  {
    ...complete,
    name: 'a run that settles nothing sends its result',
    find: "if redis.call('XACK', stream, group, id) == 0 then return 0 end",
    replace: "redis.call('XACK', stream, group, id)",
  },
  {
    ...complete,
    name: 'a completed task keeps its place in the index',
    find: 'if forget(id) then unindex(index, task, id) end',
    replace: 'forget(id)',
  },
  {
    name: 'nobody is told of a dead letter',
    file: 'libs/queue/store/scripts/dead-letter.fragment.ts',
    find: "answerFailure(meta, original, 'dead', ",
    replace: "answerFailure('', original, 'dead', ",
    specs: [script],
  },
  {
    name: 'nobody is told that a cancelled task was dropped',
    file: 'libs/queue/store/scripts/settle-failure.script.ts',
    find: "  answerFailure(meta, handle, 'cancelled', 'cancelled', failure, attempts)",
    replace: '',
    specs: [script],
  },
  {
    name: 'nobody is told that a cancelled task of a dead process was dropped',
    file: 'libs/queue/store/scripts/take-over.fragment.ts',
    find: "  answerFailure(meta, task, 'cancelled',",
    replace: "  answerFailure('', task, 'cancelled',",
    specs: [script],
  },
  {
    ...taskWaits,
    name: 'a wait does not ask when messages may have been lost',
    find: 'this.#asked === resyncs &&',
    replace: '',
  },
  {
    ...taskWaits,
    name: 'a wait that could not ask then does not ask again',
    find: '    const resyncs = this.#resyncs;\n    const isHeard = this.#asked === resyncs &&',
    replace:
      '    const resyncs = this.#resyncs;\n    const before = this.#asked;\n    this.#asked = resyncs;\n    const isHeard = before === resyncs &&',
  },
  {
    ...taskWaits,
    name: 'a wait trusts messages of which nothing is known',
    find: 'clock.monoMs() - inbox.proven.monoMs <= HEARD_MS',
    replace: 'inbox.proven.monoMs <= Infinity',
  },
  {
    ...taskWaits,
    name: 'a wait does not look at the end of its time',
    find: 'await this.#look(wait, LAST_LOOK_MS);',
    replace: '',
  },
  {
    ...taskWaits,
    name: 'a wait hangs if Redis is out of reach at the end of its time',
    find: '    this.#end(wait, {});\n  }\n}',
    replace: '  }\n}',
  },
  {
    ...taskWaits,
    name: 'what was announced is not read',
    find: 'wait.isKept = true;',
    replace: '',
  },
  {
    ...taskWaits,
    name: 'a result that was received stays in Redis',
    find: "this.#options.link.send('del', [wait.key])",
    replace: 'Promise.resolve()',
  },
  {
    ...taskWaits,
    name: 'a wait outlives the app',
    find: 'for (const wait of [...this.#waits.values()]) this.#end(',
    replace: 'for (const wait of [] as TaskWait[]) this.#end(',
  },
  {
    ...taskWaits,
    name: 'an app that has stopped publishes tasks for which it cannot wait',
    find: "if (this.#closed) throw closed(queue, 'nothing was published');",
    replace: '',
  },
  {
    ...taskWaits,
    name: 'a stop does not wait for the waits',
    find: 'if (this.#waits.size === 0) resolve();',
    replace: 'resolve();',
  },
  {
    name: 'a redriven task is waited for again',
    file: 'libs/queue/admin/dead-letters.ts',
    find: ', reply: undefined }',
    replace: ' }',
    specs: [whole],
  },
  {
    name: 'a result that cannot be sent makes the task run again',
    file: 'libs/queue/results/outcome.ts',
    find: "return { kind: 'unsendable', text: whyUnsendable(error) };",
    replace: 'throw error;',
    specs: [whole],
  },
  {
    name: 'a task of a batch has a result of another type than the queue names',
    file: 'libs/queue/worker/task-runner.ts',
    find: 'else if (handler.runBatch) void',
    replace: 'else if (handler.runBatch === null) void',
    specs: [whole],
  },
  {
    name: 'the wait of a publish that was refused goes on',
    file: 'libs/queue/results/awaited-publisher.ts',
    find: '      waits.forget(wait);\n',
    replace: '',
    specs: [whole],
  },
];
