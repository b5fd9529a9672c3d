/** Faults in reads that never load: `get`, `getMany`, `take`. */
const lookups = ['libs/cache/cache-lookups.spec'];
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
];
