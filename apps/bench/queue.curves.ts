import { QueueService } from 'nestjs-sluice';
import { setTimeout as pause } from 'node:timers/promises';
import { forkApp } from '../../test/support/fork-app.js';
import { startApp } from './app.js';
import type { BenchContext, Curve, Series } from './bench.js';
import { PEER_CONCURRENCY, QUEUE_PEERS } from './peers/queues.js';
import type { WorkOrder } from './queue.member.js';
import { handled } from './queue.recovery.js';
import { Tasks, TaskWorker } from './queue.worker.js';
import { inFlight, PAYLOAD, RawQueue } from './raw-queue.js';

const PROCESSES = [1, 2, 3, 4];
const PAYLOAD_BYTES = [100, 1_000, 10_000, 100_000];
const IN_FLIGHT = 500;

/** Handlers that do nothing, so what is measured is the queue; on few cores the processes soon compete for them. */
export const processesCurve: Curve = {
  name: 'queue-processes',
  title: 'Tasks handled per second, by worker processes',
  x: 'processes',
  y: 'tasks per second',
  scale: { x: 'linear', y: 'linear' },
  async measure(ctx) {
    const series: Series = { 'Sluice, at its defaults': [], [`BullMQ, concurrency ${PEER_CONCURRENCY}`]: [] };
    for (const processes of PROCESSES) {
      series['Sluice, at its defaults']?.push([processes, await byProcesses(ctx, processes, 'sluice')]);
      series[`BullMQ, concurrency ${PEER_CONCURRENCY}`]?.push([processes, await byProcesses(ctx, processes, 'bullmq')]);
    }
    return series;
  },
};

async function byProcesses(
  { redis, quick }: BenchContext,
  processes: number,
  contender: WorkOrder['contender'],
): Promise<number> {
  const name = `processes-${processes}`;
  const ours = contender === 'sluice';
  const count = (quick ? 2_000 : 10_000) * (ours ? 5 : 1);
  const app = await startApp(redis.url, { queue: { consumers: false } });
  const peer = await QUEUE_PEERS.bullmq(redis.url, name);
  const depth = async (): Promise<number> => {
    const { waiting, running } = await app.get(QueueService).counts(Tasks);
    return waiting + running;
  };
  const publish = ours ? () => app.get(QueueService).publish(Tasks, PAYLOAD) : () => peer.publish(PAYLOAD);
  const env = { REDIS_URL: redis.url };
  const members = await Promise.all(
    Array.from({ length: processes }, () => forkApp(new URL('queue.member.js', import.meta.url), { env })),
  );
  try {
    const order: WorkOrder = { contender, name, shut: true, ...(ours ? {} : { concurrency: PEER_CONCURRENCY }) };
    await Promise.all(members.map((member) => member.call('work', order)));
    await inFlight(count, IN_FLIGHT, publish);
    const from = performance.now();
    await Promise.all(members.map((member) => member.call('open')));
    await handled(members, count);
    const perSecond = (count / (performance.now() - from)) * 1_000;
    // A task that is killed before it is settled would come back in a later measurement.
    if (ours) while ((await depth()) > 0) await pause(1);
    return perSecond;
  } finally {
    await Promise.all(members.map((member) => member.kill()));
    await peer.close();
    await app.close();
  }
}

export const payloadCurve: Curve = {
  name: 'queue-payload',
  title: 'Tasks handled by one process, by the size of their payload',
  x: 'bytes of JSON',
  y: 'tasks per second',
  async measure({ redis, quick }) {
    const app = await startApp(redis.url, {}, [TaskWorker]);
    const { gate } = app.get(TaskWorker);
    const tasks = new RawQueue(redis.url, 'tasks');
    const raw = new RawQueue(redis.url, 'raw');
    const series: Series = { 'Sluice, at its defaults': [], 'XREADGROUP, XACK and XDEL': [] };
    try {
      for (const bytes of PAYLOAD_BYTES) {
        const payload = { text: 'x'.repeat(bytes - '{"text":""}'.length) };
        const count = Math.min(quick ? 5_000 : 30_000, 100_000_000 / bytes);
        const perSecond = async (work: () => Promise<void>): Promise<number> => {
          const from = performance.now();
          await work();
          return (count / (performance.now() - from)) * 1_000;
        };
        gate.shut();
        await inFlight(count, 100, () => tasks.publish(payload));
        const ours = await perSecond(async () => {
          gate.open();
          while ((await tasks.client.xlen('tasks')) > 0) await pause(1);
        });
        await inFlight(count, 100, () => raw.publish(payload));
        const bare = await perSecond(() => raw.consumeAll(async () => {}));
        series['Sluice, at its defaults']?.push([bytes, ours]);
        series['XREADGROUP, XACK and XDEL']?.push([bytes, bare]);
      }
      return series;
    } finally {
      tasks.close();
      raw.close();
      await app.close();
    }
  },
};
