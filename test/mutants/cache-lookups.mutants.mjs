/** Faults in reads that never load (`get`, `getMany`, `take`), in lifetimes, and in errors that are answers. */
const lookups = ['libs/cache/cache-lookups.spec'];
const failures = ['libs/cache/loader-failures.spec'];
const take = { file: 'libs/cache/store/scripts/take.script.ts', specs: lookups };

export default [
  {
    name: 'take leaves the value',
    ...take,
    find: "redis.call('UNLINK', value)\n",
    replace: '',
  },
  {
    name: 'take gives a value that is past its time',
    ...take,
    find: 'untilMs <= nowMs or ',
    replace: '',
  },
  {
    name: 'take gives a value that was invalidated',
    ...take,
    find: ' or not current(named, tags)',
    replace: '',
  },
  {
    name: 'take tells no other process',
    ...take,
    find: "announce(sequence, channel, 'key', entry)\n",
    replace: '',
  },
  {
    name: 'take notes before it frees',
    ...take,
    find: "redis.call('UNLINK', value)\nannounce(sequence, channel, 'key', entry)",
    replace: "redis.call('INCR', sequence)\nredis.call('UNLINK', value)\nannounce(sequence, channel, 'key', entry)",
  },
  {
    name: 'a taken value stays in the copies of this process',
    file: 'libs/cache/cache-writer.ts',
    specs: lookups,
    find: "      () => this.#store.take(entry),\n      'take of',",
    replace: "      () => this.#store.get(entry),\n      'take of',",
  },
  {
    name: 'a taken value that cannot be read is an error',
    file: 'libs/cache/cache-lookups.ts',
    specs: lookups,
    find: '    } catch {\n      meter.broken(key);\n      return undefined;',
    replace: '    } catch (error) {\n      throw error;',
  },
  {
    name: 'a value can be taken twice in the testing module',
    file: 'libs/testing/in-process/in-process-cache.store.ts',
    specs: ['libs/testing/in-process/cache-store.spec'],
    find: 'if (value) this.#entries.delete(key);',
    replace: 'if (value) void Promise.resolve().then(() => this.#entries.delete(key));',
  },
  {
    name: 'a value that lives for ever lives for no time',
    file: 'libs/cache/lifetime.ts',
    specs: ['libs/cache/cache.options.spec'],
    find: '    if (value === Infinity) return FOREVER_MS;\n',
    replace: '',
  },
  {
    name: 'all back off after an answer',
    file: 'libs/cache/loading/load-lease.ts',
    specs: failures,
    find: 'const backoffMs = answer ? 0 : options.errorBackoffMs;',
    replace: 'const backoffMs = options.errorBackoffMs;',
  },
  {
    name: 'a failure of the source is an answer',
    file: 'libs/cache/loader-failures.ts',
    specs: failures,
    find: 'return status !== undefined && status < 500;',
    replace: 'return status !== undefined;',
  },
  {
    name: 'a promise says that an error is an answer',
    file: 'libs/cache/loading/load-lease.ts',
    specs: failures,
    find: "return isTrue('answers()', answers(error));",
    replace: 'return Boolean(answers(error));',
  },
  {
    name: 'an answer loses its status on its way',
    file: 'libs/cache/loader-failures.ts',
    specs: failures,
    find: '  if (answer !== true || http === undefined) return error;\n',
    replace: '  if (http) return error;\n  return error;\n',
  },
  {
    name: 'a failure is told as an answer',
    file: 'libs/cache/loader-failures.ts',
    specs: failures,
    find: 'if (answer !== true || http === undefined) return error;',
    replace: 'if (http === undefined) return error;',
  },
  {
    name: 'callers of the process get a copy of their own error',
    file: 'libs/cache/loading/load-lease.ts',
    specs: failures,
    find: '    this.#context.ownErrors.keep(entry, id, error, backoffMs);\n',
    replace: '',
  },
  {
    name: 'a note may name the error of another key',
    file: 'libs/cache/loader-failures.ts',
    specs: failures,
    find: 'return `${id} ${entry}`;',
    replace: 'return id + entry.slice(0, 0);',
  },
  {
    name: 'a response of any size travels',
    file: 'libs/cache/loader-failures.ts',
    specs: failures,
    find: 'return JSON.stringify(response).length <= RESPONSE_MAX;',
    replace: 'return JSON.stringify(response).length > 0;',
  },
];
