import { Injectable, Logger, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { QueueService, SluiceQueueModule, TaskHandler, defineQueue } from 'nestjs-sluice/queue';
import { SluiceRedisModule } from 'nestjs-sluice/redis';
import { defineBench, type BenchContext, type Contenders, type Row } from './bench.js';

Logger.overrideLogger(['error']);

/** Twenty bytes or so, as small tasks have. */
const PAYLOAD = { order: 12_345, of: 'ab' };
const Tasks = defineQueue<typeof PAYLOAD>('tasks');

const publish: Row = {
  name: 'queue.publish',
  unit: 'tasks/s',
  better: 'higher',
  target: '≥ 0.85 × raw',
  met: ({ sluice, raw }) => raw !== null && sluice >= 0.85 * raw,
  measure: async ({ redis, quick }: BenchContext): Promise<Contenders> => {
    const count = quick ? 20_000 : 100_000;
    const client = new Redis(redis.url);
    const app = await startApp(redis.url, false);
    const queue = app.get(QueueService);
    return {
      sluice: () => perSecond(client, count, () => queue.publish(Tasks, PAYLOAD)),
      raw: () => perSecond(client, count, () => add(client)),
      close: async () => {
        await app.close();
        client.disconnect();
      },
    };
  },
};

const consume: Row = {
  name: 'queue.consume',
  unit: 'tasks/s',
  better: 'higher',
  target: '≥ 0.7 × raw',
  met: ({ sluice, raw }) => raw !== null && sluice >= 0.7 * raw,
  measure: async ({ redis, quick }: BenchContext): Promise<Contenders> => {
    const count = quick ? 20_000 : 100_000;
    const client = new Redis(redis.url, { protocol: 2 });
    const app = await startApp(redis.url, true);
    return {
      sluice: async () => {
        const gate = app.get(Gate);
        gate.shut();
        await backlog(client, count);
        const from = performance.now();
        gate.open();
        // Nobody reads past the last task, so the end is when the stream is empty.
        while ((await client.xlen('tasks')) > 0) await new Promise((resolve) => setTimeout(resolve, 1));
        return (count / (performance.now() - from)) * 1_000;
      },
      raw: async () => {
        await backlog(client, count, 'raw');
        const from = performance.now();
        await consumeRaw(client);
        return (count / (performance.now() - from)) * 1_000;
      },
      close: async () => {
        await app.close();
        client.disconnect();
      },
    };
  },
};

export default defineBench({ feature: 'queue', rows: [publish, consume] });

/** Lets handlers wait, so that a backlog can be laid in before the clock starts. */
@Injectable()
class Gate {
  opened: Promise<void> | undefined;
  open = (): void => {};

  shut(): void {
    this.opened = new Promise((resolve) => {
      this.open = () => {
        this.opened = undefined;
        resolve();
      };
    });
  }

  @TaskHandler(Tasks)
  async handle(): Promise<void> {
    if (this.opened) await this.opened;
  }
}

async function startApp(url: string, consumes: boolean): Promise<INestApplicationContext> {
  @Module({
    imports: [
      SluiceRedisModule.forRoot({ redis: { url } }),
      SluiceQueueModule.forRoot(consumes ? {} : { consumers: false }),
    ],
    providers: [Gate],
  })
  class App {}
  return NestFactory.createApplicationContext(App);
}

/** 500 in flight at any time. */
async function perSecond(client: Redis, count: number, publishOne: () => Promise<unknown>): Promise<number> {
  await client.del('tasks');
  let sent = 0;
  const lane = async (): Promise<void> => {
    while (sent < count) {
      sent++;
      await publishOne();
    }
  };
  const from = performance.now();
  await Promise.all(Array.from({ length: 500 }, lane));
  return (count / (performance.now() - from)) * 1_000;
}

function add(client: Redis, stream = 'tasks'): Promise<unknown> {
  const seconds = Math.floor(Date.now() / 1_000);
  const payload = JSON.stringify(PAYLOAD);
  return client.xadd(stream, '*', 'payload', payload, 'timestamp', seconds, 'retry_count', 0, 'meta', '');
}

async function backlog(client: Redis, count: number, stream = 'tasks'): Promise<void> {
  for (let left = count; left > 0; left -= 1_000) {
    await Promise.all(Array.from({ length: Math.min(left, 1_000) }, () => add(client, stream)));
  }
}

/** By hand: read 500, acknowledge and delete them, on one connection. */
async function consumeRaw(client: Redis): Promise<void> {
  await client.xgroup('CREATE', 'raw', 'group', '0').catch(() => {});
  for (;;) {
    const batch = await client.xreadgroup('GROUP', 'group', 'me', 'COUNT', 500, 'STREAMS', 'raw', '>');
    const entries = (batch as [string, [string, string[]][]][] | null)?.[0]?.[1];
    if (!entries) return;
    const ids = entries.map(([id]) => id);
    await Promise.all([client.xack('raw', 'group', ...ids), client.xdel('raw', ...ids)]);
  }
}
