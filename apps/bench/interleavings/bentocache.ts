import { Redis } from 'ioredis';
import type { Rival } from '../../../test/support/interleavings/rival.js';
import { peer } from '../peer.js';
import { TTL_MS } from './contenders.js';

interface Bentocache {
  BentoCache: new (options: object) => {
    getOrSet(options: { key: string; ttl: number; tags: string[]; factory: () => Promise<string> }): Promise<unknown>;
    delete(options: { key: string }): Promise<unknown>;
    deleteByTag(options: { tags: string[] }): Promise<unknown>;
    disconnectAll(): Promise<void>;
  };
  bentostore: () => Store;
}

interface Store {
  useL1Layer(driver: unknown): Store;
  useL2Layer(driver: unknown): Store;
  useBus(driver: unknown): Store;
}

type Driver = (options: object) => unknown;

export async function bentocache(url: string): Promise<Rival> {
  const { BentoCache, bentostore } = (await peer('bentocache')) as Bentocache;
  const { redisDriver, redisBusDriver } = (await peer('bentocache/drivers/redis')) as Record<string, Driver>;
  const { memoryDriver } = (await peer('bentocache/drivers/memory')) as Record<string, Driver>;
  const client = new Redis(url);
  const { host, port } = client.options;
  const store = bentostore()
    .useL1Layer(memoryDriver?.({ maxSize: '10mb' }))
    .useL2Layer(redisDriver?.({ connection: client }))
    .useBus(redisBusDriver?.({ connection: { host, port } }));
  const cache = new BentoCache({ default: 'store', stores: { store } });
  return {
    getOrLoad: (key, factory, tag) => cache.getOrSet({ key, ttl: TTL_MS, tags: [tag], factory }),
    delete: (key) => cache.delete({ key }),
    invalidateTag: (tag) => cache.deleteByTag({ tags: [tag] }),
    close: async () => {
      await cache.disconnectAll();
      client.disconnect();
    },
  };
}
