/** How many tasks per second are worked off in the order of their keys. */
import { setTimeout as pause } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { QueueService, TaskHandler, defineQueue } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { PEER_CONCURRENCY, QUEUE_PEERS } from './peers/queues.js';
import { consumePeer } from './queue.rates.js';
import { Gate } from './queue.worker.js';
import { inFlight, PAYLOAD, RawQueue } from './raw-queue.js';

const IN_FLIGHT = 500;
const KEYS = 1_000;

const Keyed = defineQueue<typeof PAYLOAD>('keyed', { orderingKey: ({ of }) => of });
const Unordered = defineQueue<typeof PAYLOAD>('unordered');

/** Both handlers do nothing but count, 50 at a time. */
@Injectable()
export class KeyedWorker {
  readonly keyed = new Gate();
  readonly unordered = new Gate();

  @TaskHandler(Keyed, { concurrency: PEER_CONCURRENCY })
  async handleKeyed(): Promise<void> {
    await this.keyed.pass();
  }

  @TaskHandler(Unordered, { concurrency: PEER_CONCURRENCY })
  async handle(): Promise<void> {
    await this.unordered.pass();
  }
}

/** A backlog of 1,000 keys in turn, 100 tasks each, in one process, beside the same one without keys. */
export async function keyed({ redis, quick }: BenchContext): Promise<Contenders> {
  const app = await startApp(redis.url, {}, [KeyedWorker]);
  const worker = app.get(KeyedWorker);
  const queue = app.get(QueueService);
  const stream = new RawQueue(redis.url, Keyed.name);
  const groupmq = await QUEUE_PEERS.groupmq(redis.url, 'keyed-groupmq');
  const count = quick ? 20_000 : 100_000;
  const rate =
    (definition: typeof Keyed, gate: Gate): Measure =>
    async () => {
      await queue.pause(definition);
      gate.handled = 0;
      let published = 0;
      await inFlight(count, IN_FLIGHT, () => {
        const key = definition === Keyed ? ['ordering_key', `key ${published++ % KEYS}`] : [];
        const fields = ['payload', JSON.stringify(PAYLOAD), 'timestamp', 1_700_000_000, 'retry_count', 0, 'meta', ''];
        return stream.client.xadd(definition.name, '*', ...fields, ...key);
      });
      const from = performance.now();
      await queue.resume(definition);
      while (gate.handled < count) await pause(1);
      while ((await stream.client.xlen(definition.name)) > 0) await pause(1);
      return (count / (performance.now() - from)) * 1_000;
    };
  return {
    sluice: rate(Keyed, worker.keyed),
    raw: rate(Unordered, worker.unordered),
    peers: { groupmq: () => consumePeer(groupmq, quick ? 2_000 : 15_000) },
    close: async () => {
      await groupmq.close();
      await app.close();
      stream.close();
    },
  };
}
