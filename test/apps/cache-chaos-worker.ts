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
let reads = 0;
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

const tagOf = (key: string): string => `tag of ${key}`;
const resultTagOf = (key: string): string => `result of ${key}`;

async function read(key: string, strict = Math.random() < 0.4): Promise<number> {
  const start = now();
  const version = await cache.getOrLoad(key, () => load(key), {
    tags: [tagOf(key)],
    resultTags: () => [resultTagOf(key)],
    consistency: strict ? 'strict' : 'bounded',
  });
  log.read(key, version, start, strict);
  reads++;
  return version;
}

/** Every way to invalidate, and what it reaches of the keys that this process alone writes. */
const invalidations: Record<string, (key: string, version: number) => Promise<unknown>> = {
  delete: (key) => cache.delete(key),
  set: (key, version) => cache.set(key, version, { tags: [tagOf(key), resultTagOf(key)] }),
  tag: (key) => cache.invalidateTags(tagOf(key)),
  'result tag': (key) => cache.invalidateTags(resultTagOf(key)),
};

async function write(key: string): Promise<void> {
  const version = await source.incr(`version:${key}`);
  const how = pick(Object.keys(invalidations));
  await source.incr(`done:${how}`);
  try {
    await invalidations[how]?.(key, version);
  } catch {
    // Not acknowledged: promises nothing.
    return;
  }
  log.invalidated(key, version, now());
}

async function clear(): Promise<void> {
  const versions = await Promise.all(settings.own.map((key) => source.get(`version:${key}`)));
  await source.incr('done:clear');
  try {
    await cache.clear();
  } catch {
    return;
  }
  const at = now();
  for (const [i, key] of settings.own.entries()) log.invalidated(key, Number(versions[i] ?? 0), at);
}

/** Loads so many keys at once, for so long; what each loader returns is the name of this process. */
async function hold(prefix: string, count: number, loadMs: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) =>
      cache.getOrLoad(`${prefix}${i}`, async () => {
        await pause(loadMs);
        return settings.by;
      }),
    ),
  );
}

/** So that who injects the faults knows how much there is to check. */
async function count(): Promise<void> {
  const counted = reads;
  reads = 0;
  await source.incrby('reads', counted);
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
      for (let i = 0; i < 2; i++) fibers.push(fiber(() => Promise.all(settings.keys.map((key) => read(key))), 30));
      fibers.push(fiber(() => write(pick(settings.own)), 60));
      fibers.push(fiber(clear, 1_000));
      fibers.push(fiber(count, 500));
    },
    halt: async () => {
      running = false;
      await Promise.all(fibers);
    },
    read,
    hold,
  },
  stop: async () => {
    log.end();
    source.disconnect();
    await connections.onApplicationShutdown();
  },
});
