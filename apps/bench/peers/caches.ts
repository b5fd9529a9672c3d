/** Caching libraries, each behind the same verb. */
import { Redis } from 'ioredis';
import { peer, type PeerSettings } from '../peer.js';

export interface CachePeer {
  /** What is cached under the key, or what `load` makes, kept for ten minutes. */
  getOrLoad(key: string, load: () => unknown): Promise<unknown>;
  close(): Promise<void>;
}

/** Where it keeps things: in the process, in Redis, or in both as its documentation lays them out. */
export type Tiers = 'memory' | 'redis' | 'both';

export type CachePeerName = 'bentocache' | 'cache-manager' | 'async-cache-dedupe';

export const CACHE_PEERS: Record<CachePeerName, (url: string, tiers: Tiers) => Promise<CachePeer>> = {
  bentocache,
  'cache-manager': cacheManager,
  'async-cache-dedupe': asyncCacheDedupe,
};

export const CACHE_SETTINGS: readonly PeerSettings[] = [
  {
    name: 'bentocache',
    settings: 'memory of 200,000 items, alone unserialized, with Redis serialized; ioredis, Redis bus, as in its guide',
  },
  { name: 'cache-manager', settings: 'a Keyv of a Map in memory; @keyv/redis, as in its README' },
  { name: 'async-cache-dedupe', settings: 'memory of 200,000 items or ioredis; it does not combine them' },
];

const TTL_MS = 600_000;
const MEMORY_ITEMS = 200_000;

interface Bentocache {
  BentoCache: new (options: object) => {
    getOrSet(options: { key: string; ttl: number; factory: () => unknown }): Promise<unknown>;
    disconnectAll(): Promise<void>;
  };
  bentostore: () => BentoStore;
}

interface BentoStore {
  useL1Layer(driver: unknown): BentoStore;
  useL2Layer(driver: unknown): BentoStore;
  useBus(driver: unknown): BentoStore;
}

interface BentoRedisDrivers {
  redisDriver: (options: { connection: Redis }) => unknown;
  redisBusDriver: (options: { connection: object }) => unknown;
}

async function bentocache(url: string, tiers: Tiers): Promise<CachePeer> {
  const { BentoCache, bentostore } = (await peer('bentocache')) as Bentocache;
  const { redisDriver, redisBusDriver } = (await peer('bentocache/drivers/redis')) as BentoRedisDrivers;
  const { memoryDriver } = (await peer('bentocache/drivers/memory')) as { memoryDriver: (options: object) => unknown };
  const client = new Redis(url);
  const { host, port } = client.options;
  const store = bentostore();
  // Unserialized is its fastest; beside a second tier 1.6.1 then stumbles over what it takes from there.
  const serialize = tiers === 'both';
  if (tiers !== 'redis') store.useL1Layer(memoryDriver({ maxItems: MEMORY_ITEMS, serialize }));
  if (tiers !== 'memory') store.useL2Layer(redisDriver({ connection: client }));
  if (tiers === 'both') store.useBus(redisBusDriver({ connection: { host, port } }));
  const cache = new BentoCache({ default: 'store', stores: { store } });
  return {
    getOrLoad: (key, factory) => cache.getOrSet({ key, ttl: TTL_MS, factory }),
    close: async () => {
      await cache.disconnectAll();
      client.disconnect();
    },
  };
}

interface CacheManager {
  createCache: (options: { stores?: unknown[] }) => {
    wrap(key: string, load: () => unknown, ttlMs: number): Promise<unknown>;
    disconnect(): Promise<unknown>;
  };
}

async function cacheManager(url: string, tiers: Tiers): Promise<CachePeer> {
  const { createCache } = (await peer('cache-manager')) as CacheManager;
  const { Keyv } = (await peer('keyv')) as { Keyv: new (options?: object) => unknown };
  const { default: KeyvRedis } = (await peer('@keyv/redis')) as { default: new (url: string) => unknown };
  const memory = tiers === 'redis' ? [] : [new Keyv()];
  const remote = tiers === 'memory' ? [] : [new Keyv({ store: new KeyvRedis(url) })];
  const cache = createCache({ stores: [...memory, ...remote] });
  return {
    getOrLoad: (key, load) => cache.wrap(key, load, TTL_MS),
    close: async () => {
      await cache.disconnect();
    },
  };
}

interface AsyncCacheDedupe {
  createCache: (options: object) => {
    define(name: 'load', load: (key: string) => unknown): { load(key: string): Promise<unknown> };
  };
}

async function asyncCacheDedupe(url: string, tiers: Tiers): Promise<CachePeer> {
  const { createCache } = (await peer('async-cache-dedupe')) as AsyncCacheDedupe;
  const client = new Redis(url);
  const storage =
    tiers === 'memory' ? { type: 'memory', options: { size: MEMORY_ITEMS } } : { type: 'redis', options: { client } };
  const loaders = new Map<string, () => unknown>();
  const cache = createCache({ ttl: TTL_MS / 1_000, storage }).define('load', (key) => loaders.get(key)?.());
  return {
    getOrLoad: (key, load) => {
      // It knows one loader, which is told of a key and of nothing else.
      if (loaders.get(key) !== load) loaders.set(key, load);
      return cache.load(key);
    },
    close: async () => {
      client.disconnect();
      await Promise.resolve();
    },
  };
}
