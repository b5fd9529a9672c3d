/** Faults in publishes under a key: two tasks, or none. */
const script = { file: 'libs/queue/store/scripts/publish-unique.script.ts', specs: ['libs/queue/publish/unique'] };

export default [
  {
    ...script,
    name: 'a repeat with its nonce publishes again',
    find: 'if answered then',
    replace: 'if false then',
  },
  {
    ...script,
    name: 'a task that nobody can find holds its key',
    find: 'if untilMs and untilMs > now or was and not untilMs and isActive(was) then',
    replace: 'if untilMs and untilMs > now or was and not untilMs then',
  },
  {
    ...script,
    name: 'a key with a window is free when its task is done',
    find: 'if untilMs and untilMs > now or was',
    replace: 'if was',
  },
  {
    ...script,
    name: 'a task that is done holds its key until the entry is deleted',
    find: 'return entry and toDo(key, entry) or false',
    replace: 'return entry and true or false',
  },
  {
    ...script,
    name: 'a task that one group has done holds no key',
    find: `> 0 then return true end
    if #redis.call('XRANGE', key, '(' .. info`,
    replace: `> 0 then return true else return false end
    if #redis.call('XRANGE', key, '(' .. info`,
  },
  {
    ...script,
    name: 'a retry in a stream of its own holds no key',
    find: "side .. 'delayed:' .. group",
    replace: "side .. 'delayed-' .. group",
  },
  {
    ...script,
    name: 'a delayed task holds no key',
    find: "if redis.call('ZSCORE', zset, id) then return true end",
    replace: '',
  },
  {
    ...script,
    name: 'half of a delayed task is written beside a bad key',
    find: 'if not mayDelay() then',
    replace: 'if false then',
  },
  {
    ...script,
    name: 'a task is put off for ever',
    find: 'local at = math.min(now + windowMs, first + maxWaitMs)',
    replace: 'local at = now + windowMs',
  },
  {
    ...script,
    name: 'a task that waits for a retry is put off with another payload',
    find: "return part(body, third) == '0' and old or nil",
    replace: 'return old',
  },
  {
    ...script,
    name: 'a task collects more than it may',
    find: 'if items < max and #more <= maxBytes and',
    replace: 'if #more <= maxBytes and',
  },
  {
    ...script,
    name: 'a task collects more than fits',
    find: 'and #more <= maxBytes and',
    replace: 'and',
  },
  {
    ...script,
    name: 'a full task waits on',
    find: "if mode == 'collect' and items + 1 >= max then at = now end",
    replace: '',
  },
  {
    ...script,
    name: 'a put-off task keeps its payload',
    find: "redis.call('HSET', bodies, was, framed(was))\n  redis.call('HSET', record",
    replace: "redis.call('HSET', record",
  },
  {
    ...script,
    name: 'a delayed task is not replaced',
    find: "    redis.call('HSET', bodies, was, framed(was))\n    redis.call('PEXPIRE'",
    replace: "    redis.call('PEXPIRE'",
  },
  {
    ...script,
    name: 'a task that a worker has is replaced',
    find: "toDo(stream, entry) and (not pending or pending[2] == '${RELEASED}') then",
    replace: 'toDo(stream, entry) then',
  },
  {
    ...script,
    name: 'a task that was returned is not replaced',
    find: "(not pending or pending[2] == '${RELEASED}')",
    replace: 'not pending',
  },
  {
    ...script,
    name: 'a task that is done is replaced, and runs again under its id',
    find: 'if entry and toDo(stream, entry) and (not',
    replace: 'if entry and (not',
  },
  {
    ...script,
    name: 'what was replaced pends for ever',
    find: "    if pending then redis.call('XACK', stream, group, entry) end\n",
    replace: '',
  },
  {
    ...script,
    name: 'what was replaced runs as well',
    find: "    redis.call('XDEL', stream, entry)\n",
    replace: '',
  },
  {
    ...script,
    name: 'what was replaced stays in the index',
    find: '    unindex(index, was, entry)\n',
    replace: '',
  },
  {
    ...script,
    name: 'a task is replaced in a queue that several groups read',
    find: 'if #groups > 1 then',
    replace: 'if false then',
  },
  {
    file: 'libs/queue/publish/unique.options.ts',
    specs: ['libs/queue/publish/unique'],
    name: 'a window has no effect on replace, and is taken',
    find: "if (checked.mode === 'replace' && checked.windowMs !== undefined) {",
    replace: 'if (checked.windowMs === -1) {',
  },
  {
    file: 'libs/testing/in-process/testing-keys.ts',
    specs: ['libs/testing/in-process/testing-keys'],
    name: 'in a test, what is replaced keeps its place',
    find: 'if (this.#tasks.isDue(fresh)) all',
    replace: 'if (all.length < 0) all',
  },
  {
    ...script,
    name: 'the record of a task that is done stays',
    find: "return redis.call('DEL', record)",
    replace: 'return 0',
  },
];
