/** A worker dies with fifty tasks running: how long until all of them have run elsewhere. */
import { QueueService } from 'nestjs-sluice';
import { forkApp, type ForkedApp } from '../../test/support/fork-app.js';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { QUEUE_PEERS } from './peers/queues.js';
import type { WorkOrder } from './queue.member.js';
import { Tasks } from './queue.worker.js';
import { PAYLOAD } from './raw-queue.js';

const RUNNING = 50;

export async function recovery({ redis }: BenchContext): Promise<Contenders> {
  const app = await startApp(redis.url, { queue: { consumers: false } });
  const queue = app.get(QueueService);
  const bullmq = await QUEUE_PEERS.bullmq(redis.url, 'recovery-bullmq');
  const fork = (): Promise<ForkedApp> =>
    forkApp(new URL('queue.member.js', import.meta.url), { env: { REDIS_URL: redis.url } });
  const seconds =
    (contender: WorkOrder['contender'], publish: () => Promise<unknown>): Measure =>
    async () => {
      const [victim, survivor] = [await fork(), await fork()];
      try {
        const order = { contender, concurrency: RUNNING };
        await victim.call('work', { ...order, stuck: true } satisfies WorkOrder);
        const allRun = handled(victim, RUNNING);
        await Promise.all(Array.from({ length: RUNNING }, publish));
        await allRun;
        const allRecovered = handled(survivor, RUNNING);
        await survivor.call('work', { ...order, stuck: false } satisfies WorkOrder);
        const from = performance.now();
        await victim.kill();
        await allRecovered;
        return (performance.now() - from) / 1_000;
      } finally {
        await Promise.all([victim.kill(), survivor.kill()]);
      }
    };
  return {
    sluice: seconds('sluice', () => queue.publish(Tasks, PAYLOAD)),
    slowPeers: { bullmq: seconds('bullmq', () => bullmq.publish(PAYLOAD)) },
    close: async () => {
      await bullmq.close();
      await app.close();
    },
  };
}

/** Resolves when that many handlers have begun. */
function handled(member: ForkedApp, count: number): Promise<void> {
  return new Promise((resolve) => {
    const off = member.on('handled', (begun: number) => {
      if (begun < count) return;
      off();
      resolve();
    });
  });
}
