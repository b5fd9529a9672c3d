import type { Rival } from '../../../test/support/interleavings/rival.js';
import { peer } from '../peer.js';
import { TTL_MS } from './contenders.js';

interface CacheManager {
  createCache: (options: { stores: unknown[] }) => {
    wrap(key: string, load: () => Promise<string>, ttlMs: number): Promise<unknown>;
    del(key: string): Promise<unknown>;
    disconnect(): Promise<unknown>;
  };
}

export async function cacheManager(url: string): Promise<Rival> {
  const { createCache } = (await peer('cache-manager')) as CacheManager;
  const { Keyv } = (await peer('keyv')) as { Keyv: new (options?: object) => unknown };
  const { default: KeyvRedis } = (await peer('@keyv/redis')) as { default: new (url: string) => unknown };
  const cache = createCache({ stores: [new Keyv(), new Keyv({ store: new KeyvRedis(url) })] });
  return {
    getOrLoad: (key, load) => cache.wrap(key, load, TTL_MS),
    delete: (key) => cache.del(key),
    close: async () => {
      await cache.disconnect();
    },
  };
}
