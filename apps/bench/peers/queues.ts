/** Queue libraries, each behind the same verbs. */
import { Redis } from 'ioredis';
import { peer, type PeerSettings } from '../peer.js';

export interface QueuePeer {
  publish(payload: object): Promise<unknown>;
  /** Calls `handle` for each task. Resolves to what stops that. */
  consume(concurrency: number, handle: () => Promise<void>): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export type QueuePeerName = 'bullmq' | 'groupmq';

export const QUEUE_PEERS: Record<QueuePeerName, (url: string, name: string) => QueuePeer | Promise<QueuePeer>> = {
  bullmq,
  groupmq,
};

/** What BullMQ's guide sets for tasks that wait for others, and what it was measured best at. */
export const PEER_CONCURRENCY = 50;

export const QUEUE_OPTIONS: readonly PeerSettings[] = [
  {
    name: 'bullmq',
    settings: `concurrency ${PEER_CONCURRENCY}, removeOnComplete and removeOnFail; otherwise its defaults`,
  },
  {
    name: 'groupmq',
    settings: `concurrency ${PEER_CONCURRENCY}, each task in one of 1,000 groups, ordering 'none', keeps nothing`,
  },
];

interface BullMQ {
  Queue: new (
    name: string,
    options: object,
  ) => { add(name: string, data: object): Promise<unknown>; close(): Promise<void> };
  Worker: new (
    name: string,
    handle: () => Promise<void>,
    options: object,
  ) => { waitUntilReady(): Promise<unknown>; on(event: 'error', listener: () => void): void; close(): Promise<void> };
}

async function bullmq(url: string, name: string): Promise<QueuePeer> {
  const { Queue, Worker } = (await peer('bullmq')) as BullMQ;
  const { hostname: host, port } = new URL(url);
  const connection = { host, port: Number(port), maxRetriesPerRequest: null };
  const queue = new Queue(name, { connection, defaultJobOptions: { removeOnComplete: true, removeOnFail: true } });
  return {
    publish: (payload) => queue.add('task', payload),
    async consume(concurrency, handle) {
      const worker = new Worker(name, handle, { connection, concurrency });
      worker.on('error', () => {});
      await worker.waitUntilReady();
      return () => worker.close();
    },
    close: () => queue.close(),
  };
}

interface GroupMQ {
  Queue: new (options: object) => { add(job: object): Promise<unknown>; close(): Promise<void> };
  Worker: new (options: object) => { run(): Promise<void>; close(graceMs?: number): Promise<void> };
}

async function groupmq(url: string, name: string): Promise<QueuePeer> {
  const { Queue, Worker } = (await peer('groupmq')) as GroupMQ;
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  const queue = new Queue({ redis, namespace: name, keepCompleted: 0, keepFailed: 0, orderingMethod: 'none' });
  let published = 0;
  return {
    publish: (data) => queue.add({ groupId: `group ${published++ % 1_000}`, data }),
    consume(concurrency, handler) {
      const worker = new Worker({ queue, concurrency, handler });
      // It resolves when the worker ends.
      void worker.run();
      return Promise.resolve(() => worker.close(100));
    },
    close: async () => {
      await queue.close();
      redis.disconnect();
    },
  };
}
