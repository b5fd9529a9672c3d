/** Faults in tasks about dead letters: none, two, one that nobody can read, or one more for ever. */
const specs = ['libs/queue/handlers/dead-letter-to'];
const failed = { file: 'libs/queue/store/scripts/failed-task.fragment.ts', specs };

export default [
  {
    ...failed,
    name: 'failures of failures go round',
    find: 'if isFailedTask(letter.meta) then return false end',
    replace: '',
  },
  {
    ...failed,
    name: 'a failure is not marked as one',
    find: `'meta', '{"failureOf":' .. cjson.encode(queue) .. '}')`,
    replace: `'meta', '')`,
  },
  {
    ...failed,
    name: 'a meta that speaks of failures keeps one back',
    find: "return isJson and type(object) == 'table' and type(object.failureOf) == 'string'",
    replace: 'return true',
  },
  {
    ...failed,
    name: 'a payload that is no JSON is embedded as it is',
    find: 'isJson = pcall(cjson.decode, payload)',
    replace: 'isJson = true',
  },
  {
    ...failed,
    name: 'a payload that lies too deep is embedded as it is',
    find: 'depth < ${DEPTH_MAX}',
    replace: 'depth < 9999',
  },
  {
    ...failed,
    name: 'brackets in texts count for the depth',
    find: "return 'null'\n  end)",
    replace: "return '[[' .. inside\n  end)",
  },
  {
    ...failed,
    name: 'what is escaped ends a text',
    find: String.raw`string.gsub(text, '\\.', ''), true`,
    replace: 'text, true',
  },
  {
    ...failed,
    name: 'a text with a control character is taken for JSON',
    find: 'then strict = false end',
    replace: 'then strict = true end',
  },
  {
    ...failed,
    name: 'any word is taken for JSON',
    find: 'strict and isJsonWord(word)',
    replace: 'strict',
  },
  {
    ...failed,
    name: 'a number that begins with 0 is taken for JSON',
    find: "if not digits or #digits > 1 and string.sub(digits, 1, 1) == '0' then return false end",
    replace: 'if not digits then return false end',
  },
  {
    ...failed,
    name: 'what a worker could not read is embedded as it is',
    find: 'embedded(letter.payload, letter.isJson)',
    replace: 'embedded(letter.payload)',
  },
  {
    file: 'libs/queue/store/scripts/dead-letter.fragment.ts',
    specs,
    name: 'no task about a dead letter is published',
    find: "if publishes ~= '' then",
    replace: 'if false then',
  },
  {
    file: 'libs/queue/store/scripts/settle-failure.script.ts',
    specs,
    name: 'a dead letter is made beside a target that is no stream',
    find: "if publishes ~= '' and not isOf(failedTo, 'stream') then",
    replace: 'if false then',
  },
  {
    file: 'libs/queue/worker/control/take-over.ts',
    specs,
    name: 'nobody is told of a task that kills its process',
    find: "publishes: failedTo === undefined ? '' : queue,",
    replace: "publishes: '',",
  },
  {
    file: 'libs/queue/same-slot.ts',
    specs,
    name: 'queues of two slots are taken',
    find: 'if (slotOf(stream) === slotOf(queueKeys(keyspace, target).stream)) return;',
    replace: "if (stream !== '') return;",
  },
  {
    file: 'libs/queue/handler.options.ts',
    specs,
    name: 'the queue of failures publishes its own failures',
    find: 'deadLetterTo: given.deadLetterTo === name ? undefined : (given',
    replace: 'deadLetterTo: (given',
  },
  {
    file: 'libs/queue/same-slot.ts',
    specs,
    name: 'the name that fits keeps the hash tag of another slot',
    find: "target.includes('{') ? target.replace(/\\{[^{}]*\\}/, tag) : ",
    replace: '',
  },
];
