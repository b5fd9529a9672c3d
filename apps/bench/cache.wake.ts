/** From the end of a load to the last of ten waiting processes. */
import { forkApp, type ForkedApp } from '../../test/support/fork-app.js';
import type { BenchContext, Contenders } from './bench.js';
import type { Fills } from './cache.member.js';
import { nowMs } from './now.js';

const WAITING = 10;

/** So many short rounds are one: a machine that grows slow for some seconds does so for both sides. */
export const SPLITS = 22;

/**
 * A loader begins at 0 ms of each 20, the waiters come at 4 and a load ends at 16, so that what is measured is the wake-up alone.
 */
const PACE = { everyMs: 20, waitersMs: 44, loaderMs: 56 };

/**
 * Until V8 has compiled what is run often, and has been through the full collections with which it answers an app that has just
 * started and grows quiet: each forgets the classes of objects that nobody holds at that moment, and with them what was compiled
 * for them. At a higher pace first, those collections would come in the rounds.
 */
const WARM_UP_KEYS = 5_000;

/** Keys are filled at a constant rate, however slowly anybody wakes up. */
export async function wake({ redis, quick }: BenchContext): Promise<Contenders> {
  const env = { REDIS_URL: redis.url };
  const fork = (): Promise<ForkedApp> => forkApp(new URL('cache.member.js', import.meta.url), { env });
  const [loader, ...waiters] = await Promise.all(Array.from({ length: WAITING + 1 }, fork));
  if (loader === undefined) throw new Error('no process was started');
  const all = [loader, ...waiters];
  await Promise.all(all.map((member) => member.call('start', 'sluice')));
  const keys = quick ? 30 : 50;
  let round = 0;
  const next = (): Fills => ({ prefix: `wake:${++round}`, keys, ...PACE, startAt: nowMs() + 50 });
  const wakeBySluice = async (fills: Fills): Promise<[number[], number[][]]> => {
    const filled = loader.call<number[]>('fill', fills);
    const woken = waiters.map((member) => member.call<number[]>('wait', fills));
    return [await filled, await Promise.all(woken)];
  };
  const wakeByHand = async (fills: Fills): Promise<[number[], number[][]]> => {
    await Promise.all(waiters.map((member) => member.call('subscribe', fills.prefix)));
    const sent = await loader.call<number[]>('publish', { ...fills, startAt: nowMs() + 50 });
    const heard = waiters.map((member) => member.call<number[]>('heard', fills.prefix));
    return [sent, await Promise.all(heard)];
  };
  if (!quick) {
    const warmUp = { keys: WARM_UP_KEYS };
    await Promise.all([wakeBySluice({ ...next(), ...warmUp }), wakeByHand({ ...next(), ...warmUp })]);
  }
  const lastWoken = (from: readonly number[], to: readonly (readonly number[])[]): number[] => {
    const all = from.map((sentAt, i) => Math.max(...to.map((at) => at[i] ?? Number.NaN)) - sentAt);
    // On a busy machine a loader may come after those who should have waited for it.
    const woken = all.filter((ms) => !Number.isNaN(ms));
    if (woken.length < 0.5 * keys) throw new Error(`only ${woken.length} of ${keys} keys were waited for`);
    return woken;
  };
  return {
    sluice: async () => lastWoken(...(await wakeBySluice(next()))),
    raw: async () => lastWoken(...(await wakeByHand(next()))),
    close: async () => {
      await Promise.all(all.map((member) => member.kill()));
    },
  };
}
