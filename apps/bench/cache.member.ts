/** One process of a fleet that shares a cache. */
import { Redis } from 'ioredis';
import { CacheService } from 'nestjs-sluice';
import { setImmediate as immediate, setTimeout as pause } from 'node:timers/promises';
import { serve } from '../../test/support/app-host.js';
import { seeded } from '../../test/support/chaos.js';
import { startApp } from './app.js';
import { nowMs, until } from './now.js';
import { CACHE_PEERS, type CachePeer, type CachePeerName } from './peers/caches.js';

export type Cacher = 'sluice' | CachePeerName;

/** Callers of one cold key, which arrive evenly drawn from `spreadMs` from `startAt` on. */
export interface Burst {
  key: string;
  callers: number;
  loaderMs: number;
  spreadMs: number;
  startAt: number;
}

/** Keys that go cold one after the other, at a constant rate. */
export interface Fills {
  prefix: string;
  keys: number;
  everyMs: number;
  /** How long each load takes. */
  loaderMs: number;
  /** When the waiters come, counted from when the load begins. */
  waitersMs: number;
  startAt: number;
}

/** Requests for `keys` keys: each key once, the rest by popularity (Zipf's law), in an order that follows from `seed`. */
export interface Trace {
  prefix: string;
  requests: number;
  keys: number;
  inFlight: number;
  seed: number;
}

const url = process.env['REDIS_URL'] ?? '';
const caches = new Map<Cacher, Pick<CachePeer, 'getOrLoad'>>();
const client = new Redis(url);
const subscriber = client.duplicate();

async function start(cacher: Cacher): Promise<void> {
  if (caches.has(cacher)) return;
  if (cacher === 'sluice') caches.set(cacher, (await startApp(url)).get(CacheService));
  else caches.set(cacher, await CACHE_PEERS[cacher](url, cacher === 'async-cache-dedupe' ? 'redis' : 'both'));
}

/** How many loads this process made. */
async function burst(cacher: Cacher, { key, callers, loaderMs, spreadMs, startAt }: Burst): Promise<number> {
  let loads = 0;
  const load = async (): Promise<unknown> => {
    loads++;
    if (loaderMs > 0) await pause(loaderMs);
    return { key };
  };
  const call = async (): Promise<unknown> => {
    await until(startAt + Math.random() * spreadMs);
    return caches.get(cacher)?.getOrLoad(key, load);
  };
  await Promise.all(Array.from({ length: callers }, call));
  return loads;
}

/** How many loads this process made. Every process of the fleet sends the same requests. */
async function trace(cacher: Cacher, plan: Trace): Promise<number> {
  const cache = caches.get(cacher);
  const requests = requestsOf(plan);
  let loads = 0;
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < requests.length) {
      const key = `${plan.prefix}:${requests[next++]}`;
      await cache?.getOrLoad(key, async () => {
        loads++;
        await immediate();
        return { key };
      });
    }
  };
  await Promise.all(Array.from({ length: plan.inFlight }, caller));
  return loads;
}

function requestsOf({ requests, keys, seed }: Trace): number[] {
  const random = seeded(seed);
  const all = Array.from({ length: keys }, (_, i) => i);
  // By the inverse of the distribution with the exponent 1: ranks are evenly spread on a logarithmic scale.
  while (all.length < requests) all.push(Math.floor(keys ** random()) - 1);
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j] ?? 0, all[i] ?? 0];
  }
  return all;
}

/** Loads each key; answers when each load returned. */
async function fill(fills: Fills): Promise<number[]> {
  return eachKey(fills, 0, async (key) => {
    let filledAt = Number.NaN;
    await caches.get('sluice')?.getOrLoad(key, async () => {
      await pause(fills.loaderMs);
      filledAt = nowMs();
      return { key };
    });
    return filledAt;
  });
}

/** Waits for each key; answers when each was there, NaN where the loader was late and this process had to load. */
async function wait(fills: Fills): Promise<number[]> {
  return eachKey(fills, fills.waitersMs, async (key) => {
    const value = await caches.get('sluice')?.getOrLoad(key, () => 'loaded here');
    return value === 'loaded here' ? Number.NaN : nowMs();
  });
}

/** The same by bare PUBLISH: when each was sent. */
async function publish(fills: Fills): Promise<number[]> {
  return eachKey(fills, fills.loaderMs, async (key) => {
    const sentAt = nowMs();
    await client.publish(fills.prefix, JSON.stringify({ key }));
    return sentAt;
  });
}

/** When each message came. Ready once the call `subscribe` has answered. */
const heard = new Map<string, number[]>();
async function subscribe(prefix: string): Promise<void> {
  heard.set(prefix, []);
  await subscriber.subscribe(prefix);
}
subscriber.on('message', (channel: string, message: string) => {
  JSON.parse(message);
  heard.get(channel)?.push(nowMs());
});

/**
 * Begins each key's work when it is due, whatever has become of the ones before. One timer at a time: hundreds would cost time.
 */
async function eachKey(fills: Fills, afterMs: number, work: (key: string) => Promise<number>): Promise<number[]> {
  const all: Promise<number>[] = [];
  for (let i = 0; i < fills.keys; i++) {
    await until(fills.startAt + i * fills.everyMs + afterMs);
    all.push(work(`${fills.prefix}:${i}`));
  }
  return Promise.all(all);
}

serve({
  ops: {
    start,
    burst,
    trace,
    fill,
    wait,
    publish,
    subscribe,
    heard: (prefix: string) => heard.get(prefix) ?? [],
  },
});
