/** What a task costs the server: calls and bytes. */
import { Redis } from 'ioredis';
import { QueueService } from 'nestjs-sluice';
import { setTimeout as pause } from 'node:timers/promises';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { bytesPer } from './memory.js';
import { callsDuring } from './monitor.js';
import { PEER_CONCURRENCY, QUEUE_PEERS } from './peers/queues.js';
import { Tasks, TaskWorker } from './queue.worker.js';
import { inFlight, PAYLOAD, RawQueue } from './raw-queue.js';

const IN_FLIGHT = 500;

/** Calls per task from publishing to the end, as MONITOR sees them: all, and those that a client sent. */
export async function commands({ redis, quick }: BenchContext): Promise<Contenders> {
  const count = quick ? 5_000 : 20_000;
  const client = new Redis(redis.url);
  const app = await startApp(redis.url, {}, [TaskWorker]);
  const { gate } = app.get(TaskWorker);
  const queue = app.get(QueueService);
  const raw = new RawQueue(redis.url, 'raw');
  const bullmq = await QUEUE_PEERS.bullmq(redis.url, 'commands-bullmq');
  const counted =
    (tasks: number, work: (tasks: number) => Promise<void>): Measure =>
    async () => {
      const { all, sent } = await callsDuring(redis.port, 'xlen', () => work(tasks));
      return [all / tasks, sent / tasks];
    };
  return {
    sluice: counted(count, async (tasks) => {
      gate.shut();
      await inFlight(tasks, IN_FLIGHT, () => queue.publish(Tasks, PAYLOAD));
      gate.open();
      while ((await client.xlen('tasks')) > 0) await pause(10);
    }),
    raw: counted(count, async (tasks) => {
      await inFlight(tasks, IN_FLIGHT, () => raw.publish());
      await raw.consumeAll(async () => {});
    }),
    peers: {
      bullmq: counted(count / 10, async (tasks) => {
        let handled = 0;
        await inFlight(tasks, IN_FLIGHT, () => bullmq.publish(PAYLOAD));
        const stop = await bullmq.consume(PEER_CONCURRENCY, async () => {
          await Promise.resolve();
          handled++;
        });
        while (handled < tasks) await pause(10);
        await stop();
      }),
    },
    close: async () => {
      await bullmq.close();
      await app.close();
      raw.close();
      client.disconnect();
    },
  };
}

/** Bytes of the server's memory per waiting task. */
export async function bytes({ redis, quick }: BenchContext): Promise<Contenders> {
  const client = new Redis(redis.url);
  const app = await startApp(redis.url, { queue: { consumers: false } });
  const queue = app.get(QueueService);
  const count = quick ? 10_000 : 50_000;
  const perTask =
    (tasks: number, publish: () => Promise<unknown>): Measure =>
    () =>
      bytesPer(client, tasks, publish);
  const peers = await Promise.all(
    Object.entries(QUEUE_PEERS).map(async ([name, start]) => [name, await start(redis.url, `bytes-${name}`)] as const),
  );
  return {
    sluice: perTask(count, () => queue.publish(Tasks, PAYLOAD)),
    raw: perTask(count, () => client.xadd('raw', '*', 'payload', JSON.stringify(PAYLOAD))),
    peers: Object.fromEntries(peers.map(([name, peer]) => [name, perTask(count / 5, () => peer.publish(PAYLOAD))])),
    close: async () => {
      await Promise.all(peers.map(([, peer]) => peer.close()));
      await app.close();
      client.disconnect();
    },
  };
}
