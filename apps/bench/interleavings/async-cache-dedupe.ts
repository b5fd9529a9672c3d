import { Redis } from 'ioredis';
import type { Rival } from '../../../test/support/interleavings/rival.js';
import { peer } from '../peer.js';
import { TTL_MS } from './contenders.js';

interface Wanted {
  key: string;
  tag: string;
}

interface AsyncCacheDedupe {
  createCache: (options: object) => {
    define(name: 'load', options: object, load: (wanted: Wanted) => unknown): Defined;
  };
}

interface Defined {
  load(wanted: Wanted): Promise<unknown>;
  clear(name: 'load', wanted: Wanted): Promise<unknown>;
  invalidateAll(reference: string): Promise<unknown>;
}

export async function asyncCacheDedupe(url: string): Promise<Rival> {
  const { createCache } = (await peer('async-cache-dedupe')) as AsyncCacheDedupe;
  const client = new Redis(url);
  const ttl = TTL_MS / 1_000;
  const storage = { type: 'redis', options: { client, invalidation: { referencesTTL: ttl } } };
  // It knows one loader, which is told of a key and of nothing else.
  const loaders = new Map<string, () => Promise<string>>();
  const options = { serialize: ({ key }: Wanted) => key, references: ({ tag }: Wanted) => [tag] };
  const cache = createCache({ ttl, storage }).define('load', options, ({ key }) => loaders.get(key)?.());
  return {
    getOrLoad: (key, load, tag) => {
      loaders.set(key, load);
      return cache.load({ key, tag });
    },
    delete: (key) => cache.clear('load', { key, tag: '' }),
    invalidateTag: (tag) => cache.invalidateAll(tag),
    close: async () => {
      client.disconnect();
      await Promise.resolve();
    },
  };
}
