/** From the end of a load to the last of ten waiting processes. */
import { forkApp } from '../../test/support/fork-app.js';
import type { BenchContext, Contenders } from './bench.js';
import type { Fills } from './cache.member.js';
import { nowMs } from './now.js';
import { quantile } from './statistics.js';

const WAITING = 10;

/** A 99th percentile is decided by few keys, so it takes more rounds than five to tell two of them apart. */
export const WAKE_ROUNDS = 9;

/** Keys are filled at a constant rate, however slowly anybody wakes up. */
export async function wake({ redis, quick }: BenchContext): Promise<Contenders> {
  const env = { REDIS_URL: redis.url };
  const fork = () => forkApp(new URL('cache.member.js', import.meta.url), { env, execArgv: ['--expose-gc'] });
  const [loader, ...waiters] = await Promise.all(Array.from({ length: WAITING + 1 }, fork));
  if (loader === undefined) throw new Error('no process was started');
  const all = [loader, ...waiters];
  await Promise.all(all.map((member) => member.call('start', 'sluice')));
  // Of fewer, the 99th percentile is the worst of all.
  const keys = quick ? 100 : 500;
  let round = 0;
  const next = async (): Promise<Fills> => {
    // A full collection takes 10 ms and more, and eleven processes that grow make some in any round of anything.
    await Promise.all(all.map((member) => member.call('collect')));
    const prefix = `wake:${++round}`;
    // A load ends half-way between the arrivals for two other keys: what is measured is the wake-up alone.
    return { prefix, keys, everyMs: 20, loaderMs: 40, startAt: nowMs() + 50 };
  };
  const p99 = (from: readonly number[], to: readonly (readonly number[])[]): number => {
    const all = from.map((sentAt, i) => Math.max(...to.map((at) => at[i] ?? Number.NaN)) - sentAt);
    // On a busy machine a loader may come after those who should have waited for it.
    const woken = all.filter((ms) => !Number.isNaN(ms));
    if (woken.length < 0.5 * keys) throw new Error(`only ${woken.length} of ${keys} keys were waited for`);
    return quantile(woken, 0.99);
  };
  return {
    sluice: async () => {
      const fills = await next();
      const filled = loader.call<number[]>('fill', fills);
      const woken = waiters.map((member) => member.call<number[]>('wait', fills));
      return p99(await filled, await Promise.all(woken));
    },
    raw: async () => {
      const fills = await next();
      await Promise.all(waiters.map((member) => member.call('subscribe', fills.prefix)));
      const sent = await loader.call<number[]>('publish', { ...fills, startAt: nowMs() + 50 });
      const heard = waiters.map((member) => member.call<number[]>('heard', fills.prefix));
      return p99(sent, await Promise.all(heard));
    },
    close: async () => {
      await Promise.all(all.map((member) => member.kill()));
    },
  };
}
