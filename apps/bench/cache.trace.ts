/** A cold cache under a fleet's ordinary traffic: few keys are popular, and most requests miss. */
import { Worker } from 'node:worker_threads';
import { forkApp } from '../../test/support/fork-app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import type { Cacher, Trace } from './cache.member.js';
import { nowMs } from './now.js';

const PROCESSES = 4;
const IN_FLIGHT = 64;
const FULL = { requests: 20_000, keys: 13_778 };
const FIRST_LOOK = { requests: 4_000, keys: 2_755 };
const BUSY_LOOPS = 4;

/** Any number. The requests follow from it alone. */
export const SEED = 20_240;

/** How long the trace takes, in seconds, and the loads per key that it asks for. */
export async function trace(context: BenchContext): Promise<Contenders> {
  return contenders(context, ['sluice', 'bentocache']);
}

/** The same on a machine that is busy with something else: late answers are no outage. */
export async function busyTrace(context: BenchContext): Promise<Contenders> {
  const loops = Array.from({ length: BUSY_LOOPS }, () => new Worker('for (;;);', { eval: true }));
  const { close, ...rest } = await contenders(context, ['sluice']);
  return {
    ...rest,
    close: async () => {
      await Promise.all([close?.(), ...loops.map((loop) => loop.terminate())]);
    },
  };
}

async function contenders({ redis, quick }: BenchContext, cachers: readonly Cacher[]): Promise<Contenders> {
  const env = { REDIS_URL: redis.url };
  const fork = () => forkApp(new URL('cache.member.js', import.meta.url), { env });
  const members = await Promise.all(Array.from({ length: PROCESSES }, fork));
  for (const cacher of cachers) await Promise.all(members.map((member) => member.call('start', cacher)));
  let round = 0;
  const measured =
    (cacher: Cacher): Measure =>
    async () => {
      const plan: Trace = {
        ...(quick ? FIRST_LOOK : FULL),
        prefix: `trace:${cacher}:${++round}`,
        inFlight: IN_FLIGHT,
        seed: SEED,
      };
      const begunAt = nowMs();
      const loads = await Promise.all(members.map((member) => member.call<number>('trace', cacher, plan)));
      return [(nowMs() - begunAt) / 1_000, loads.reduce((sum, count) => sum + count) / plan.keys];
    };
  return {
    sluice: measured('sluice'),
    peers: Object.fromEntries(cachers.filter((name) => name !== 'sluice').map((name) => [name, measured(name)])),
    close: async () => {
      await Promise.all(members.map((member) => member.kill()));
    },
  };
}
