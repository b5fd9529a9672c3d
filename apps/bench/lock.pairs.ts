/** Uncontended locks, taken and given back: one after the other, and thousands at once. */
import { LockService } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { LOCK_PEERS } from './peers/locks.js';
import { rawLock } from './raw-lock.js';

const TTL_MS = 30_000;

/** Rounds of a fraction of a second. */
export const SPLITS = 5;

/** Takes and releases the lock of that name. `i` is unique in a round. */
type Pair = (name: string, i: number) => Promise<unknown>;

/** Mean milliseconds of a pair. */
export async function sequential({ redis, quick }: BenchContext): Promise<Contenders> {
  const pairs = quick ? 500 : 2_000;
  return contenders(redis.url, (pair) => async () => {
    const from = performance.now();
    for (let i = 0; i < pairs; i++) await pair(`pair:${i % 10}`, i);
    return (performance.now() - from) / pairs;
  });
}

/** Pairs per second of 5,000 distinct locks at once, three times over: alone, one collection of garbage decides a round. */
export async function parallel({ redis, quick }: BenchContext): Promise<Contenders> {
  const count = 5_000;
  const times = quick ? 1 : 3;
  return contenders(redis.url, (pair) => async () => {
    const names = Array.from({ length: count }, (_, i) => `parallel:${i}`);
    const from = performance.now();
    for (let i = 0; i < times; i++) await Promise.all(names.map(pair));
    return ((count * times) / (performance.now() - from)) * 1_000;
  });
}

async function contenders(url: string, measure: (pair: Pair) => Measure): Promise<Contenders> {
  const app = await startApp(url);
  const locks = app.get(LockService);
  const raw = rawLock(url);
  const peers = await Promise.all(
    Object.entries(LOCK_PEERS).map(async ([name, start]) => [name, await start(url)] as const),
  );
  const ofPeer = peers.map(([name, peer]) => {
    const pair: Pair = async (key) => (await peer.acquire(`${name}:${key}`, TTL_MS))();
    return [name, measure(pair)] as const;
  });
  return {
    sluice: measure(async (name) => (await locks.acquire(name)).release()),
    raw: measure((name, i) => raw.pair(`raw:${name}`, `owner ${i}`)),
    peers: Object.fromEntries(ofPeer),
    close: async () => {
      raw.close();
      await Promise.all(peers.map(([, peer]) => peer.close()));
      await app.close();
    },
  };
}
