/** One process of a fleet that shares rate limits. */
import { Redis } from 'ioredis';
import { RateLimitService, defineRateLimit } from 'nestjs-sluice';
import { serve } from '../../test/support/app-host.js';
import { onDecided } from '../../test/support/decision-times.js';
import { startApp } from './app.js';
import { nowMs, until } from './now.js';
import { peer } from './peer.js';
import { LIMIT_PEERS, type LimitNumbers, type LimitPeerName } from './peers/limiters.js';
import { rawLimit } from './raw-limit.js';

/** One call that was admitted: when it was sent, and when the answer was there. Machine-wide milliseconds. */
export interface Admitted {
  sentAt: number;
  admittedAt: number;
}

/** One call that waited for its turn. */
export interface Started {
  askedAt: number;
  startedAt: number;
}

export type LimiterName = 'sluice' | 'raw' | LimitPeerName;
export type PacerName = 'sluice' | 'raw' | 'bottleneck' | 'rate-limiter-flexible';

const url = process.env['REDIS_URL'] ?? '';
const closers: (() => Promise<unknown>)[] = [];

type Hit = (key: string) => Promise<{ allowed: boolean; atMs?: number }>;
const hits = new Map<LimiterName, Hit>();
const turns = new Map<PacerName, (work: () => void) => Promise<unknown>>();

async function sluice(): Promise<{ limits: RateLimitService; lastUs: () => number }> {
  const app = await startApp(url);
  closers.push(() => app.close());
  let lastUs = 0;
  onDecided(app, ({ atUs }) => {
    lastUs = atUs;
  });
  return { limits: app.get(RateLimitService), lastUs: () => lastUs };
}

async function limiter(name: LimiterName, numbers: LimitNumbers): Promise<Hit> {
  if (name === 'sluice') {
    const { limits, lastUs } = await sluice();
    const definition = defineRateLimit('windows', numbers);
    return async (key) => {
      const { allowed } = await limits.consume(definition, key);
      return { allowed, atMs: lastUs() / 1_000 };
    };
  }
  const started = name === 'raw' ? rawLimit(url, numbers) : await LIMIT_PEERS[name](url, numbers);
  closers.push(() => started.close());
  return async (key) => ({ allowed: await started.hit(key) });
}

interface Bottleneck {
  new (options: object): {
    schedule(work: () => Promise<void>): Promise<unknown>;
    ready(): Promise<unknown>;
    disconnect(): Promise<void>;
  };
}

interface Flexible {
  RateLimiterRedis: new (options: object) => object;
  RateLimiterQueue: new (limiter: object) => { removeTokens(tokens: number, key: string): Promise<unknown> };
}

/** Calls `work` when it is its turn. */
async function pacer(name: PacerName, { limit, perMs }: LimitNumbers): Promise<(work: () => void) => Promise<unknown>> {
  if (name === 'sluice') {
    const { limits } = await sluice();
    const definition = defineRateLimit('pace', { limit, perMs, mode: 'pace' });
    return (work) => limits.take(definition, 'partner', { maxWaitMs: 60_000 }).then(work);
  }
  if (name === 'bottleneck') {
    const { default: Bottleneck } = (await peer('bottleneck')) as { default: Bottleneck };
    const { default: IORedis } = (await peer('ioredis')) as { default: unknown };
    const { hostname: host, port } = new URL(url);
    const clientOptions = { host, port: Number(port) };
    const options = { id: 'pace', minTime: perMs / limit, datastore: 'ioredis', clearDatastore: false, clientOptions };
    const started = new Bottleneck({ ...options, Redis: IORedis });
    await started.ready();
    closers.push(() => started.disconnect());
    return (work) =>
      started.schedule(async () => {
        work();
        await Promise.resolve();
      });
  }
  const { RateLimiterRedis, RateLimiterQueue } = (await peer('rate-limiter-flexible')) as Flexible;
  const storeClient = new Redis(url);
  closers.push(() => storeClient.quit());
  const redis = new RateLimiterRedis({ storeClient, keyPrefix: 'pace', points: limit, duration: perMs / 1_000 });
  const queue = new RateLimiterQueue(redis);
  return (work) => queue.removeTokens(1, 'partner').then(work);
}

serve({
  ops: {
    startLimiter: async (name: LimiterName, numbers: LimitNumbers): Promise<void> => {
      if (!hits.has(name)) hits.set(name, await limiter(name, numbers));
    },
    startPacer: async (name: PacerName, numbers: LimitNumbers): Promise<void> => {
      if (name !== 'raw' && !turns.has(name)) turns.set(name, await pacer(name, numbers));
    },
    /** So many calls at that time, all at once. */
    hit: async (name: LimiterName, key: string, calls: number, atMs: number): Promise<Admitted[]> => {
      await until(atMs);
      const hit = hits.get(name);
      if (hit === undefined) throw new Error(`${name} was not started`);
      const asked = Array.from({ length: calls }, async () => {
        const sentAt = nowMs();
        const { allowed, atMs } = await hit(key);
        // The server's own time, where it is told.
        return allowed ? [{ sentAt: atMs ?? sentAt, admittedAt: atMs ?? nowMs() }] : [];
      });
      return (await Promise.all(asked)).flat();
    },
    /** So many callers that ask for a turn again as soon as they had one, until that time. */
    pace: async (name: PacerName, callers: number, fromMs: number, untilMs: number): Promise<Started[]> => {
      const take = turns.get(name);
      if (take === undefined) throw new Error(`${name} was not started`);
      const started: Started[] = [];
      await until(fromMs);
      const call = async (): Promise<void> => {
        while (nowMs() < untilMs) {
          const askedAt = nowMs();
          await take(() => started.push({ askedAt, startedAt: nowMs() }));
        }
      };
      await Promise.all(Array.from({ length: callers }, call));
      return started;
    },
    /** Bare timers for these times. */
    timers: (times: number[]): Promise<Started[]> =>
      Promise.all(
        times.map(async (atMs) => {
          await until(atMs);
          return { askedAt: atMs, startedAt: nowMs() };
        }),
      ),
  },
  stop: async () => {
    await Promise.all(closers.map((close) => close()));
  },
});
