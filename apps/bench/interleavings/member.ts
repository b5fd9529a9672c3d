/** One process of a fleet that uses the library that CONTENDER names, on the Redis of REDIS_URL. */
import { serveRival } from '../../../test/support/interleavings/member.js';
import type { Rival } from '../../../test/support/interleavings/rival.js';
import { asyncCacheDedupe } from './async-cache-dedupe.js';
import { bentocache } from './bentocache.js';
import { cacheManager } from './cache-manager.js';
import type { ColumnName } from './contenders.js';
import { sluice } from './sluice.js';

const START: Record<ColumnName, (url: string) => Promise<Rival>> = {
  Sluice: sluice,
  bentocache,
  'cache-manager': cacheManager,
  'async-cache-dedupe': asyncCacheDedupe,
};

serveRival(await START[process.env['CONTENDER'] as ColumnName](process.env['REDIS_URL'] ?? ''));
