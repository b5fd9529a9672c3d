/** Faults in what keeps names, payloads, values and records within their limits. */
const names = ['libs/redis/keyspace.spec'];
const shown = ['libs/weave/limits.spec'];
const payload = { file: 'libs/queue/task/payload.ts', specs: ['libs/queue/task/payload.spec'] };
const delivery = { file: 'libs/queue/task/delivery.ts', specs: ['libs/queue/task/delivery.spec'] };
const codec = { file: 'libs/cache/codec/codec.ts', specs: ['libs/cache/codec/codec.spec'] };
const packing = { file: 'libs/cache/store/compression.ts', specs: ['libs/cache/store/compression.spec'] };

export default [
  {
    name: 'a name is counted in characters',
    file: 'libs/weave/limits.ts',
    specs: [...shown, ...names],
    find: '(text.length > bytes || Buffer.byteLength(text) > bytes)',
    replace: 'text.length > bytes',
  },
  {
    name: 'a name may have any length',
    file: 'libs/redis/keyspace.ts',
    specs: names,
    find: 'if (isLongerThan(name, NAME_MAX_BYTES)) throw tooLong(what, name);',
    replace: '',
  },
  {
    name: 'two lone surrogates are two names',
    file: 'libs/redis/keyspace.ts',
    specs: names,
    find: 'if (!isWellFormed(text))',
    replace: 'if (text === undefined)',
  },
  {
    name: "a queue may have a lock's key",
    file: 'libs/redis/keyspace.ts',
    specs: names,
    find: '(name.startsWith(`${LOCK}:`) || CACHE_TAG.test(name))',
    replace: 'CACHE_TAG.test(name)',
  },
  {
    name: "a queue may have a key of the cache's",
    file: 'libs/redis/keyspace.ts',
    specs: names,
    find: '(name.startsWith(`${LOCK}:`) || CACHE_TAG.test(name))',
    replace: 'name.startsWith(`${LOCK}:`)',
  },
  {
    name: 'a namespace may go on behind a colon',
    file: 'libs/redis/keyspace.ts',
    specs: names,
    find: '/[{}:]/.test(namespace)',
    replace: '/[{}]/.test(namespace)',
  },
  {
    name: 'a fenced key may be a lock of the namespace',
    file: 'libs/redis/keyspace.ts',
    specs: names,
    find: 'if (checked.startsWith(`${this.#prefix}${LOCK}:`)) throw reserved(`${kind} name`, checked);',
    replace: '',
  },
  {
    name: 'long cache keys share an entry in all versions',
    file: 'libs/cache/store/cache.keys.ts',
    specs: ['libs/cache/store/cache.keys.spec'],
    find: "`~h:${encodeURIComponent(version ?? '')}:${hashOf(key)}`",
    replace: '`~h::${hashOf(key)}`',
  },
  {
    name: 'hashed entries are not tracked',
    file: 'libs/cache/store/cache.keys.ts',
    specs: ['libs/cache/store/cache.keys.spec'],
    find: "[':', '~v:', '~h:']",
    replace: "[':', '~v:']",
  },
  {
    name: 'a message runs the inspection of what it shows',
    file: 'libs/weave/limits.ts',
    specs: shown,
    find: '  customInspect: false,\n',
    replace: '',
  },
  {
    name: 'a message shows all keys of an object',
    file: 'libs/weave/limits.ts',
    specs: shown,
    find: 'if (keys > SHOWN_KEYS) return `an object of ${keys} keys`;',
    replace: '',
  },
  {
    ...payload,
    name: 'a payload may have any depth',
    find: 'if (place.depth >= DEPTH_MAX) throw tooDeep(value, place);',
    replace: '',
  },
  {
    ...payload,
    name: 'the walk over a payload goes on beyond the limit',
    find: '  if (seen.chars > seen.maxChars) throw',
    replace: '  if (seen.chars > Infinity) throw',
  },
  {
    ...payload,
    name: 'the walk counts what JSON has not',
    find: 'count(1 + charsOf(value), seen);',
    replace: 'count(9 + charsOf(value), seen);',
  },
  {
    ...delivery,
    name: 'the id of a task may have any length',
    find: '!isLongerThan(id, NAME_MAX_BYTES) && ',
    replace: '',
  },
  {
    ...delivery,
    name: 'a meta may have any depth',
    find: 'if (isDeeperThan(text, DEPTH_MAX)) return NO_META;',
    replace: '',
  },
  {
    ...delivery,
    name: 'a task was published at any number',
    find: 'return ms <= DATE_MAX_MS ? ms : Math.min(parseInt(entryId, 10), DATE_MAX_MS);',
    replace: 'return ms;',
  },
  {
    name: 'a trace context may have any length',
    file: 'libs/queue/task/trace-context.ts',
    specs: delivery.specs,
    find: ' && !isLongerThan(value, CARRIED[name])) trace',
    replace: ') trace',
  },
  {
    ...codec,
    name: 'bytes are made of anything',
    find: "  if (typeof body !== 'string') throw broken(mark, body);\n  return Buffer.from(body, 'base64');",
    replace: "  return Buffer.from(body as string, 'base64');",
  },
  {
    ...codec,
    name: 'a bigint has any number of digits',
    find: 'body.length > BIGINT_DIGITS + 1 || ',
    replace: '',
  },
  {
    ...codec,
    name: 'a bigint is written in hexadecimal digits',
    find: ' || !BIGINT_TEXT.test(body)',
    replace: '',
  },
  {
    ...codec,
    name: 'what is read back may have any depth',
    find: "  if (depth > 3 * DEPTH_MAX) throw new SyntaxError('too deep');\n",
    replace: '',
  },
  {
    ...codec,
    name: 'what is written may have any depth',
    find: 'if (path.length >= DEPTH_MAX) throw tooDeep(path);',
    replace: '',
  },
  {
    ...packing,
    name: 'a few bytes become 8 MiB',
    find: 'Math.max(UNPACKED_ANYWAY_BYTES, packed.length * UNPACKED_MAX_RATIO)',
    replace: 'Infinity',
  },
  {
    ...packing,
    name: 'what is packed is never unpacked again',
    find: ' && bytes.length <= unpackedMost(said)',
    replace: '',
  },
];
