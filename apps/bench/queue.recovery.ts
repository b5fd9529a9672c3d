/** A worker dies with fifty tasks running: how long until all of them have run elsewhere. */
import { QueueService } from 'nestjs-sluice';
import { setTimeout as pause } from 'node:timers/promises';
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
        const order = { contender, name: `recovery-${contender}`, concurrency: RUNNING };
        await victim.call('work', { ...order, shut: true } satisfies WorkOrder);
        await Promise.all(Array.from({ length: RUNNING }, publish));
        await handled([victim], RUNNING);
        await survivor.call('work', { ...order, shut: false } satisfies WorkOrder);
        const from = performance.now();
        await victim.kill();
        await handled([survivor], RUNNING);
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

/** Far beyond what anybody needs who recovers at all. */
const GIVE_UP_MS = 180_000;

/** Resolves when that many handlers have begun in these processes together. Looks every 10 ms. */
export async function handled(members: readonly ForkedApp[], count: number): Promise<void> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  for (;;) {
    const each = await Promise.all(members.map((member) => member.call<number>('handled')));
    const begun = each.reduce((sum, of) => sum + of);
    if (begun >= count) return;
    if (performance.now() > giveUpAt) throw new Error(`${begun} of ${count} tasks had begun after ${GIVE_UP_MS} ms`);
    await pause(10);
  }
}
