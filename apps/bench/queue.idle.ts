/** What a process costs while there is nothing to do, on a server of its own: commands, and processor time. */
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { setTimeout as pause } from 'node:timers/promises';
import { forkApp, type ForkedApp } from '../../test/support/fork-app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { serverSeconds } from './load.js';
import { callsDuring } from './monitor.js';
import type { IdleOrder } from './queue.idler.js';

const MINUTE_MS = 60_000;
/** How many handlers a process has whose commands are counted. */
const FEW_AND_MANY = [1, 100];
/** How many handlers a process has whose processor time is taken. */
const HANDLERS = 1_000;
/** What follows a start is over by then, as far as commands are concerned. */
const STARTED_MS = 15_000;
/** V8 collects what the start of a thousand handlers has left, in some steps that take longer than the idle work of a minute. */
const COLLECTED_MS = 60_000;

/** Commands that one process sends in a minute, everything included: with one handler, and with a hundred. */
export function idleCommands({ quick }: BenchContext): Promise<Contenders> {
  const watchedMs = quick ? 15_000 : MINUTE_MS;
  const perMinute =
    (contender: IdleOrder['contender']): Measure =>
    async () => {
      const counts: number[] = [];
      for (const handlers of FEW_AND_MANY) {
        counts.push(
          await idle({ contender, handlers }, quick ? 2_000 : STARTED_MS, async (redis) => {
            const { sent } = await callsDuring(redis.port, '', () => pause(watchedMs));
            return (sent * MINUTE_MS) / watchedMs;
          }),
        );
      }
      return counts;
    };
  return Promise.resolve({ sluice: perMinute('sluice'), slowPeers: { bullmq: perMinute('bullmq') } });
}

/** Percent of one core that a process with a thousand handlers takes, and that the server takes for it. */
export function idleCpu({ quick }: BenchContext): Promise<Contenders> {
  const watchedMs = quick ? 15_000 : MINUTE_MS;
  const percent =
    (contender: IdleOrder['contender']): Measure =>
    () =>
      idle({ contender, handlers: HANDLERS }, quick ? 2_000 : COLLECTED_MS, async (redis, app) => {
        const client = new Redis(redis.url);
        const taken = async (): Promise<readonly [number, number]> => [
          await app.call<number>('cpuSeconds'),
          await serverSeconds(client),
        ];
        const [before, fromMs] = [await taken(), performance.now()];
        await pause(watchedMs);
        const after = await taken();
        const seconds = (performance.now() - fromMs) / 1_000;
        client.disconnect();
        return after.map((of, i) => (100 * (of - (before[i] ?? Number.NaN))) / seconds);
      });
  return Promise.resolve({ sluice: percent('sluice'), slowPeers: { bullmq: percent('bullmq') } });
}

/** Measures from `afterMs` after the start of a process on. */
async function idle<T>(
  order: IdleOrder,
  afterMs: number,
  measure: (redis: RedisServer, app: ForkedApp) => Promise<T>,
): Promise<T> {
  const redis = await startRedis();
  const app = await forkApp(new URL('queue.idler.js', import.meta.url), { env: { REDIS_URL: redis.url } });
  try {
    await app.call('work', order);
    await pause(afterMs);
    return await measure(redis, app);
  } finally {
    await app.kill();
    await redis.stop();
  }
}
