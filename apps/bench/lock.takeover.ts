/** A holder dies: how long after the end of its lease the next one has the lock. */
import { LockService } from 'nestjs-sluice';
import { forkApp } from '../../test/support/fork-app.js';
import { startApp } from './app.js';
import type { BenchContext, Contenders } from './bench.js';
import { nowMs } from './now.js';

const LEASE_MS = 1_000;
const LOCKS = 10;

/** The worst of ten locks; raw is the worst of ten bare timers for the same moments. */
export async function takeover({ redis }: BenchContext): Promise<Contenders> {
  const app = await startApp(redis.url);
  const locks = app.get(LockService);
  let round = 0;
  return {
    sluice: async () => {
      const names = Array.from({ length: LOCKS }, (_, i) => `takeover:${round}:${i}`);
      round++;
      const holder = await forkApp(new URL('lock.member.js', import.meta.url), { env: { REDIS_URL: redis.url } });
      const sentAt = await holder.call<number[]>('keep', names, LEASE_MS);
      const grants = names.map(async (name, i) => {
        const lock = await locks.acquire(name, { waitMs: 10_000 });
        const late = nowMs() - ((sentAt[i] ?? Number.NaN) + LEASE_MS);
        await lock.release();
        return late;
      });
      await holder.kill();
      return Math.max(...(await Promise.all(grants)));
    },
    raw: async () => {
      const timers = Array.from({ length: LOCKS }, async () => {
        const from = nowMs();
        await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
        return nowMs() - (from + LEASE_MS);
      });
      return Math.max(...(await Promise.all(timers)));
    },
    close: () => app.close(),
  };
}
