/** Faults in what the cache does while Redis does not answer, or refuses. */
const outage = ['libs/cache/loading/outage.spec'];
const breaker = ['libs/cache/store/circuit-breaker.spec'];
const availability = ['libs/cache/observe/cache-availability.spec'];
const copies = ['libs/cache/loading/outage-copies.spec'];
const link = ['libs/redis/connection/link.spec'];

export default [
  {
    name: 'callers that wait are not told that the connection is lost',
    file: 'libs/cache/store/cache.store.ts',
    specs: outage,
    find: '    connection.commands.onDown(failOpen);\n',
    replace: '',
  },
  {
    name: 'callers that wait are not told that Redis hangs',
    file: 'libs/cache/store/circuit-breaker.ts',
    specs: outage,
    find: '    if (opened) this.#onOpen();\n',
    replace: '',
  },
  {
    name: 'one late reply opens the circuit',
    file: 'libs/cache/store/circuit-breaker.ts',
    specs: breaker,
    find: '    if (this.#clock.monoMs() - this.#repliedAtMs < this.#silenceMs) return;\n',
    replace: '',
  },
  {
    name: 'the circuit tells each failed probe',
    file: 'libs/cache/store/circuit-breaker.ts',
    specs: breaker,
    find: '    const opened = !this.#open;\n',
    replace: '    const opened = true;\n',
  },
  {
    name: 'a read gives up although the server answers others',
    file: 'libs/redis/connection/link.ts',
    specs: [...link, ...breaker],
    find: '        if (moreMs > 0) return moreMs;\n',
    replace: '',
  },
  {
    name: 'a command waits for ever while the server answers others',
    file: 'libs/redis/connection/link.ts',
    specs: link,
    find: 'Math.min(silentSinceMs + silenceMs, sentAtMs + this.#options.commandTimeoutMs) - now',
    replace: 'silentSinceMs + silenceMs - now',
  },
  {
    name: 'nobody is told that the cache is off',
    file: 'libs/cache/loading/inquiry.ts',
    specs: availability,
    find: '      this.#request.meter.bypassed(this.#request.key, availability.bypassed(error));\n',
    replace: '',
  },
  {
    name: 'a known key that Redis does not answer counts nowhere',
    file: 'libs/cache/loading/ask.ts',
    specs: availability,
    find: '    request.meter.bypassed(request.key, availability.bypassed(error));\n',
    replace: '',
  },
  {
    name: 'each answer of an overloaded server ends the outage',
    file: 'libs/cache/observe/cache-availability.ts',
    specs: availability,
    find: 'this.transition.active && this.#clock.monoMs() - this.#lastMs >= this.#quietMs',
    replace: 'this.transition.active',
  },
  {
    name: 'the end of an outage is told to nobody',
    file: 'libs/cache/loading/inquiry.ts',
    specs: availability,
    find: '      availability.answered();\n',
    replace: '',
  },
  {
    name: 'copies are served in an outage to those who did not ask for it',
    file: 'libs/cache/loading/outage-copies.ts',
    specs: copies,
    find: "const copy = typeof onBackendDown === 'number' ? local?.readInOutage(entry, onBackendDown) : undefined;",
    replace: 'const copy = local?.readInOutage(entry, Infinity);',
  },
  {
    name: 'copies are served in an outage however old they are',
    file: 'libs/cache/local/local-tier.ts',
    specs: copies,
    find: 'monoMs - asked.monoMs <= maxAgeMs && wallMs - asked.wallMs <= maxAgeMs',
    replace: 'maxAgeMs >= 0',
  },
  {
    name: 'copies are served in an outage past their time',
    file: 'libs/cache/local/local-tier.ts',
    specs: copies,
    find: 'return fresh && monoMs',
    replace: 'return monoMs',
  },
  {
    name: 'what is loaded without Redis is not kept',
    file: 'libs/cache/loading/outage-copies.ts',
    specs: copies,
    find: 'if (kept && watch && asked && keeps) {',
    replace: 'if (kept && watch && asked && keeps && !asked) {',
  },
  {
    name: 'what is loaded without Redis is kept though unless says no',
    file: 'libs/cache/loading/outage-copies.ts',
    specs: copies,
    find: 'if (kept && watch && asked && keeps) {',
    replace: 'if (kept && watch && asked) {',
  },
  {
    name: 'what is loaded without Redis is kept without the tags of its result',
    file: 'libs/cache/loading/outage-copies.ts',
    specs: copies,
    find: 'tags: [...tags, ...resultTagsOf(options, value)]',
    replace: 'tags: [...tags]',
  },
  {
    name: 'a module may ask for copies in an outage and have none',
    file: 'libs/cache/cache.options.ts',
    specs: ['libs/cache/cache.options.spec'],
    find: "  if (!local.limits || loads.consistency === 'strict') refuseOutageCopies('cache', loads);\n",
    replace: '',
  },
  {
    name: 'a loader that outran its time does not say what it waited for',
    file: 'libs/cache/loading/loader-run.ts',
    specs: ['libs/cache/loading/bounded-waits.spec'],
    find: 'new CacheLoaderTimeoutError(key, timeoutMs, undefined, inner)',
    replace: 'new CacheLoaderTimeoutError(key, timeoutMs)',
  },
];
