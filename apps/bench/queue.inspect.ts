/** How fast `inspect` says that a task is done, on a queue with many tasks and dead letters. */
import { Redis } from 'ioredis';
import { QueueService } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { nowMs } from './now.js';
import { inFlight } from './raw-queue.js';

const IN_FLIGHT = 100;
const BATCH = 5_000;

/** Polls of a task that is done; raw looks its entry up, which is all that a stream can be asked without a search. */
export async function inspectAbsent({ redis, quick }: BenchContext): Promise<Contenders> {
  const client = new Redis(redis.url, { enableAutoPipelining: true });
  const app = await startApp(redis.url, { queue: { consumers: false } });
  const queue = app.get(QueueService);
  const count = quick ? 10_000 : 100_000;
  await fill(client, count);
  const done = await client.xadd('jobs', '*', 'payload', '1');
  if (done === null) throw new Error('nothing was added');
  await client.xdel('jobs', done);
  const polls = quick ? 2_000 : 20_000;
  const rate =
    (poll: () => Promise<unknown>): Measure =>
    async () => {
      const startedMs = nowMs();
      await inFlight(polls, IN_FLIGHT, poll);
      return (polls * 1_000) / (nowMs() - startedMs);
    };
  return {
    sluice: rate(() => queue.inspect('jobs', done)),
    raw: rate(() => client.xrange('jobs', done, done)),
    close: async () => {
      await app.close();
      client.disconnect();
    },
  };
}

/** So many tasks that wait, and as many dead letters. */
async function fill(client: Redis, count: number): Promise<void> {
  for (let from = 0; from < count; from += BATCH) {
    const pipeline = client.pipeline();
    for (let n = from; n < from + BATCH; n++) {
      pipeline.xadd('jobs', '*', 'payload', JSON.stringify({ n }), 'timestamp', '1', 'retry_count', '0', 'meta', '');
      pipeline.xadd(
        '{jobs}:~dead',
        '*',
        'payload',
        '1',
        'original_id',
        `x.${n}`,
        'reason',
        'r',
        'error',
        'e'.repeat(200),
      );
    }
    await pipeline.exec();
  }
}
