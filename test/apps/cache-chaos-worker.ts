/** One process that reads, invalidates and writes the keys of a fleet as fast as it can, and notes what it saw. */
import { Redis } from 'ioredis';
import { setTimeout as pause } from 'node:timers/promises';
import { CacheService } from 'nestjs-sluice/cache';
import { RedisConnections } from 'nestjs-sluice/redis';
import { serve } from '../support/app-host.js';
import { now } from '../support/history.js';
import { VersionLog } from '../support/version-history.js';

export interface ChaosWorkerSettings {
  url: string;
  /** A Redis that plays the database: it stays up. */
  sourceUrl: string;
  dir: string;
  /** Names this start of the process. */
  by: string;
  leaseMs: number;
  keys: string[];
  /** The keys that this process alone writes: versions of one key are invalidated in their order. */
  own: string[];
}

const settings = JSON.parse(process.env['WORKER'] ?? '') as ChaosWorkerSettings;
const connections = await new RedisConnections({ namespace: 'chaos', redis: { url: settings.url } }).open();
const cache = new CacheService(connections, {
  leaseMs: settings.leaseMs,
  // A busy machine is none of the faults.
  readTimeoutMs: 5_000,
  ttlMs: 600_000,
});
const source = new Redis(settings.sourceUrl);
const log = new VersionLog(settings.dir, settings.by);
let running = false;
const fibers: Promise<void>[] = [];

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T;

async function load(key: string): Promise<number> {
  await source.incr(`loads:${key}`);
  await pause(Math.random() * 10);
  const version = Number((await source.get(`version:${key}`)) ?? 0);
  // From here on the value may be old before it is stored.
  await pause(Math.random() * 40);
  return version;
}

async function read(key: string): Promise<number> {
  const start = now();
  const version = await cache.getOrLoad(key, () => load(key));
  log.read(key, version, start);
  return version;
}

async function write(key: string): Promise<void> {
  const version = await source.incr(`version:${key}`);
  await source.incr('invalidations');
  try {
    if (Math.random() < 0.7) await cache.delete(key);
    else await cache.set(key, version);
  } catch {
    // Not acknowledged: promises nothing.
    return;
  }
  log.invalidated(key, version, now());
}

async function fiber(turn: () => Promise<unknown>, restMs: number): Promise<void> {
  while (running) {
    await turn();
    await pause(Math.random() * restMs);
  }
}

serve({
  ops: {
    go: () => {
      running = true;
      for (let i = 0; i < 12; i++) fibers.push(fiber(() => read(pick(settings.keys)), 4));
      for (let i = 0; i < 2; i++) fibers.push(fiber(() => Promise.all(settings.keys.map(read)), 30));
      fibers.push(fiber(() => write(pick(settings.own)), 60));
    },
    halt: async () => {
      running = false;
      await Promise.all(fibers);
    },
    read,
  },
  stop: async () => {
    log.end();
    source.disconnect();
    await connections.onApplicationShutdown();
  },
});
