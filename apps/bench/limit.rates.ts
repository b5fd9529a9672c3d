/** Decisions per second: on distinct keys, on one hot key, and about a key that is refused. */
import { Redis } from 'ioredis';
import { RateLimitService, defineRateLimit } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { callsDuring } from './monitor.js';
import { LIMIT_PEERS, type LimitNumbers, type Limiter } from './peers/limiters.js';
import { rawLimit } from './raw-limit.js';
import { inFlight } from './raw-queue.js';

const IN_FLIGHT = 200;

/** So many that calls on one key seldom coincide: each is a command. */
const KEYS = 5_000;

/** Larger than a row uses up. */
const PLENTY: LimitNumbers = { limit: 1_000_000, perMs: 600_000 };

/** 200 decisions in flight at any time, each on another key. */
export async function decide({ redis, quick }: BenchContext): Promise<Contenders> {
  const count = quick ? 10_000 : 60_000;
  return contenders(redis.url, PLENTY, (name, limiter) => async () => {
    let next = 0;
    const from = performance.now();
    await inFlight(count, IN_FLIGHT, () => limiter.hit(`${name} ${next++ % KEYS}`));
    return (count / (performance.now() - from)) * 1_000;
  });
}

/** Calls at once on one key, twenty times over: decisions per second, and commands per decision. */
export async function hotKey({ redis, quick }: BenchContext): Promise<Contenders> {
  const [calls, times] = [1_000, quick ? 5 : 20];
  return contenders(redis.url, PLENTY, (name, limiter) => async () => {
    const work = async (): Promise<void> => {
      await Promise.all(Array.from({ length: calls }, () => limiter.hit(`${name} hot`)));
    };
    const from = performance.now();
    for (let i = 0; i < times; i++) await work();
    const perSecond = ((calls * times) / (performance.now() - from)) * 1_000;
    const { sent } = await callsDuring(redis.port, 'info', work);
    return [perSecond, sent / calls];
  });
}

/** A flood of one key that is refused, one call after the other, for two seconds: calls per second, and commands per second. */
export async function denied({ redis, quick }: BenchContext): Promise<Contenders> {
  const forMs = quick ? 500 : 2_000;
  const client = new Redis(redis.url);
  const numbers = { limit: 1, perMs: 600_000 };
  const all = await contenders(redis.url, numbers, (name, limiter) => async () => {
    const key = `${name} denied`;
    while (await limiter.hit(key));
    const before = await commandsOf(client);
    const from = performance.now();
    let calls = 0;
    do {
      for (let i = 0; i < 500; i++) if (await limiter.hit(key)) throw new Error(`${name} admitted too much`);
      calls += 500;
    } while (performance.now() - from < forMs);
    const seconds = (performance.now() - from) / 1_000;
    return [calls / seconds, ((await commandsOf(client)) - before) / seconds];
  });
  return {
    ...all,
    close: async () => {
      client.disconnect();
      await all.close?.();
    },
  };
}

/** Scripts that the server has executed. */
async function commandsOf(client: Redis): Promise<number> {
  const stats = await client.info('commandstats');
  return [...stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

async function contenders(
  url: string,
  numbers: LimitNumbers,
  measure: (name: string, limiter: Limiter) => Measure,
): Promise<Contenders> {
  const app = await startApp(url);
  const limits = app.get(RateLimitService);
  const definition = defineRateLimit('bench', numbers);
  const sluice: Limiter = {
    hit: async (key) => (await limits.consume(definition, key)).allowed,
    close: () => app.close(),
  };
  const raw = rawLimit(url, numbers);
  const peers = await Promise.all(
    Object.entries(LIMIT_PEERS).map(async ([name, start]) => [name, await start(url, numbers)] as const),
  );
  return {
    sluice: measure('sluice', sluice),
    raw: measure('raw', raw),
    peers: Object.fromEntries(peers.map(([name, limiter]) => [name, measure(name, limiter)])),
    close: async () => {
      await Promise.all([sluice, raw, ...peers.map(([, limiter]) => limiter)].map((limiter) => limiter.close()));
    },
  };
}
