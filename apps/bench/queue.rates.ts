/** How many tasks per second: published, and worked off. */
import { QueueService } from 'nestjs-sluice';
import { setTimeout as pause } from 'node:timers/promises';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { PEER_CONCURRENCY, QUEUE_PEERS, type QueuePeer } from './peers/queues.js';
import { BatchWorker, Batched, Gate, Tasks, TaskWorker } from './queue.worker.js';
import { inFlight, PAYLOAD, RawQueue } from './raw-queue.js';

const IN_FLIGHT = 500;

/** 500 in flight at any time. */
export async function publish({ redis, quick }: BenchContext): Promise<Contenders> {
  // One write for many commands, as whoever publishes this much would have it.
  const raw = new RawQueue(redis.url, 'raw', { enableAutoPipelining: true });
  const app = await startApp(redis.url, { queue: { consumers: false } });
  const queue = app.get(QueueService);
  const peers = await startPeers(redis.url, 'publish');
  const perSecond =
    (count: number, publishOne: () => Promise<unknown>): Measure =>
    async () => {
      await raw.client.del('tasks', 'raw');
      const from = performance.now();
      await inFlight(count, IN_FLIGHT, publishOne);
      return (count / (performance.now() - from)) * 1_000;
    };
  const count = quick ? 20_000 : 100_000;
  const ofPeer = ([name, peer]: [string, QueuePeer]) =>
    [name, perSecond(count / 5, () => peer.publish(PAYLOAD))] as const;
  return {
    sluice: perSecond(count, () => queue.publish(Tasks, PAYLOAD)),
    raw: perSecond(count, () => raw.publish()),
    peers: Object.fromEntries(Object.entries(peers).map(ofPeer)),
    close: async () => {
      await closePeers(peers);
      await app.close();
      raw.close();
    },
  };
}

/** A handler that does nothing, a backlog laid in before. The clock stops when the last one is settled. */
export async function consume({ redis, quick }: BenchContext): Promise<Contenders> {
  const raw = new RawQueue(redis.url, 'raw');
  const tasks = new RawQueue(redis.url, 'tasks');
  const app = await startApp(redis.url, {}, [TaskWorker]);
  const { gate } = app.get(TaskWorker);
  const queue = app.get(QueueService);
  const peers = await startPeers(redis.url, 'consume');
  const count = quick ? 20_000 : 100_000;
  return {
    sluice: async () => {
      // Paused, not held up in handlers: a worker whose tasks take seconds would rightly have none at hand.
      await queue.pause(Tasks);
      gate.handled = 0;
      await inFlight(count, IN_FLIGHT, () => tasks.publish());
      const from = performance.now();
      await queue.resume(Tasks);
      await drained(gate, count);
      while ((await tasks.client.xlen('tasks')) > 0) await pause(1);
      return (count / (performance.now() - from)) * 1_000;
    },
    raw: async () => {
      await inFlight(count, IN_FLIGHT, () => raw.publish());
      const from = performance.now();
      await raw.consumeAll(async () => {});
      return (count / (performance.now() - from)) * 1_000;
    },
    peers: Object.fromEntries(
      Object.entries(peers).map(([name, peer]) => [name, () => consumePeer(peer, quick ? 2_000 : 15_000)]),
    ),
    close: async () => {
      await closePeers(peers);
      await app.close();
      raw.close();
      tasks.close();
    },
  };
}

/** Handlers that do nothing, in batches of 100 and with single tasks, each with a backlog laid in before. */
export async function batches({ redis, quick }: BenchContext): Promise<Contenders> {
  const app = await startApp(redis.url, {}, [BatchWorker]);
  const { single, batched } = app.get(BatchWorker);
  const queue = app.get(QueueService);
  const streams = [new RawQueue(redis.url, Batched.name), new RawQueue(redis.url, Tasks.name)] as const;
  const count = quick ? 20_000 : 100_000;
  const rate =
    (stream: RawQueue, definition: typeof Tasks, gate: Gate): Measure =>
    async () => {
      await queue.pause(definition);
      gate.handled = 0;
      await inFlight(count, IN_FLIGHT, () => stream.publish());
      const from = performance.now();
      await queue.resume(definition);
      await drained(gate, count);
      while ((await stream.client.xlen(definition.name)) > 0) await pause(1);
      return (count / (performance.now() - from)) * 1_000;
    };
  return {
    sluice: rate(streams[0], Batched, batched),
    raw: rate(streams[1], Tasks, single),
    peers: {},
    close: async () => {
      await app.close();
      for (const stream of streams) stream.close();
    },
  };
}

/** Theirs ends with the last handler; what is left to settle then is a batch. */
export async function consumePeer(peer: QueuePeer, count: number): Promise<number> {
  const gate = new Gate();
  gate.shut();
  await inFlight(count, IN_FLIGHT, () => peer.publish(PAYLOAD));
  const stop = await peer.consume(PEER_CONCURRENCY, gate.pass);
  while (gate.handled < PEER_CONCURRENCY) await pause(1);
  const from = performance.now();
  gate.open();
  await drained(gate, count);
  const rate = (count / (performance.now() - from)) * 1_000;
  await stop();
  return rate;
}

/** Once all handlers have begun. A look per millisecond costs each contender the same. */
async function drained(gate: Gate, count: number): Promise<void> {
  while (gate.handled < count) await pause(1);
}

async function startPeers(url: string, purpose: string): Promise<Record<string, QueuePeer>> {
  const started = Object.entries(QUEUE_PEERS).map(
    async ([name, start]) => [name, await start(url, `${purpose}-${name}`)] as const,
  );
  return Object.fromEntries(await Promise.all(started));
}

async function closePeers(peers: Record<string, QueuePeer>): Promise<void> {
  await Promise.all(Object.values(peers).map((peer) => peer.close()));
}
