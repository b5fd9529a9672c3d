/** Sluice's cache in one process of the interleavings: REDIS_URL, and the cache's options as JSON in CACHE. */
import { RedisConnections } from 'nestjs-sluice/redis';
import { CacheService, type SluiceCacheModuleOptions } from 'nestjs-sluice/cache';
import { serveRival } from '../support/interleavings/member.js';

const options = JSON.parse(process.env['CACHE'] ?? '') as SluiceCacheModuleOptions;
const connections = new RedisConnections({ redis: { url: process.env['REDIS_URL'] ?? '' } });
const subscribed = new Promise<void>((resolve) => {
  connections.get().inbox.onResync(resolve);
});
const cache = new CacheService(connections, options);
await connections.open();
await subscribed;

serveRival({
  getOrLoad: (key, load, tag) => cache.getOrLoad(key, load, { tags: [tag] }),
  delete: (key) => cache.delete(key),
  invalidateTag: (tag) => cache.invalidateTags(tag),
  close: () => connections.onApplicationShutdown(),
});
