import { Redis } from 'ioredis';
import { LockService, QueueService } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { Curve, Series } from './bench.js';
import { bytesPer } from './memory.js';
import { LOCK_PEERS } from './peers/locks.js';
import { QUEUE_PEERS } from './peers/queues.js';
import { Tasks } from './queue.worker.js';
import { PAYLOAD, RawQueue } from './raw-queue.js';

const COUNTS = [1_000, 10_000, 100_000];

export const taskMemoryCurve: Curve = {
  name: 'queue-memory',
  title: 'Memory of the server per waiting task, payload of 20 bytes',
  x: 'waiting tasks',
  y: 'bytes per task',
  scale: { y: 'linear' },
  async measure({ redis, quick }) {
    const client = new Redis(redis.url);
    const app = await startApp(redis.url, { queue: { consumers: false } });
    const queue = app.get(QueueService);
    const raw = new RawQueue(redis.url, 'raw');
    const bullmq = await QUEUE_PEERS.bullmq(redis.url, 'memory');
    const series: Series = { Sluice: [], 'bare XADD': [], BullMQ: [] };
    try {
      for (const count of quick ? COUNTS.slice(0, 2) : COUNTS) {
        series['Sluice']?.push([count, await bytesPer(client, count, () => queue.publish(Tasks, PAYLOAD))]);
        series['bare XADD']?.push([count, await bytesPer(client, count, () => raw.publish())]);
        series['BullMQ']?.push([count, await bytesPer(client, count, () => bullmq.publish(PAYLOAD))]);
      }
      return series;
    } finally {
      await bullmq.close();
      await app.close();
      raw.close();
      client.disconnect();
    }
  },
};

export const lockMemoryCurve: Curve = {
  name: 'lock-memory',
  title: 'Memory of the server per held lock',
  x: 'locks held',
  y: 'bytes per lock',
  scale: { y: 'linear' },
  async measure({ redis, quick }) {
    const client = new Redis(redis.url);
    const app = await startApp(redis.url);
    const locks = app.get(LockService);
    const redlock = await LOCK_PEERS.redlock(redis.url);
    const series: Series = { 'Sluice, with owner, fence and record': [], 'SET NX PX': [], redlock: [] };
    let id = 0;
    const key = (): string => `memory:${++id}`;
    try {
      for (const count of quick ? COUNTS.slice(0, 1) : COUNTS) {
        const held: (() => Promise<unknown>)[] = [];
        const ours = await bytesPer(client, count, async () => {
          const lock = await locks.acquire(key(), { ttlMs: 60_000 });
          held.push(() => lock.release());
        });
        await Promise.all(held.map((release) => release()));
        series['Sluice, with owner, fence and record']?.push([count, ours]);
        const plain = await bytesPer(client, count, () =>
          client.set(`lock:${key()}`, `owner ${id}`, 'PX', 60_000, 'NX'),
        );
        series['SET NX PX']?.push([count, plain]);
        series['redlock']?.push([count, await bytesPer(client, count, () => redlock.acquire(key(), 60_000))]);
      }
      return series;
    } finally {
      await redlock.close();
      await app.close();
      client.disconnect();
    }
  },
};
