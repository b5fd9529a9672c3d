/** Lock libraries, each behind the same two verbs. */
import { Redis } from 'ioredis';
import { peer, type PeerSettings } from '../peer.js';

export interface LockPeer {
  /** Waits until it is granted; resolves to what releases it. */
  acquire(key: string, ttlMs: number): Promise<() => Promise<unknown>>;
  close(): Promise<void>;
}

export const LOCK_PEERS = {
  redlock: redlock5,
  '@sesamecare-oss/redlock': sesamecare,
  '@nestjs-redis/lock': nestjsRedis,
} satisfies Record<string, (url: string) => Promise<LockPeer>>;

export type LockPeerName = keyof typeof LOCK_PEERS;

/**
 * They wait by trying again, at the pace that redlock's README shows. Only the number of tries is not its 10, after which
 * most of the waiters would be lost. A shorter pause is quicker while many wait, and is paid for by the server.
 */
const RETRY = { retryDelay: 200, retryJitter: 200 };
const POLLS = 'one server; a try every 200–400 ms, as in its README, but repeated until the lock is taken';

export const LOCK_SETTINGS: readonly PeerSettings[] = [
  { name: 'redlock', settings: POLLS },
  { name: '@sesamecare-oss/redlock', settings: POLLS },
  { name: '@nestjs-redis/lock', settings: `${POLLS}; node-redis, which it requires` },
];

interface Redlock {
  acquire(keys: string[], ttlMs: number): Promise<{ release(): Promise<unknown> }>;
}

type RedlockClass = new (clients: Redis[], settings: object) => Redlock;

async function redlock5(url: string): Promise<LockPeer> {
  const { default: Redlock } = (await peer('redlock')) as { default: RedlockClass };
  return redlock(Redlock, url);
}

async function sesamecare(url: string): Promise<LockPeer> {
  const { Redlock } = (await peer('@sesamecare-oss/redlock')) as { Redlock: RedlockClass };
  return redlock(Redlock, url);
}

function redlock(Redlock: RedlockClass, url: string): LockPeer {
  const client = new Redis(url);
  const locks = new Redlock([client], { ...RETRY, retryCount: -1 });
  return {
    async acquire(key, ttlMs) {
      const lock = await locks.acquire([key], ttlMs);
      return () => lock.release();
    },
    close: async () => {
      await client.quit();
    },
  };
}

interface NodeRedis {
  connect(): Promise<unknown>;
  close(): Promise<void>;
}

interface NestjsRedisLock {
  RedlockService: new (
    clients: NodeRedis[],
    options: object,
  ) => { acquire(key: string, ttlMs: number): Promise<{ release(): Promise<unknown> } | null> };
}

async function nestjsRedis(url: string): Promise<LockPeer> {
  const { createClient } = (await peer('redis')) as { createClient: (options: { url: string }) => NodeRedis };
  const { RedlockService } = (await peer('@nestjs-redis/lock')) as NestjsRedisLock;
  const client = createClient({ url });
  await client.connect();
  const { retryDelay: retryDelayMs, retryJitter: retryJitterMs } = RETRY;
  const locks = new RedlockService([client], { retryDelayMs, retryJitterMs, maxRetryAttempts: 1_000_000 });
  return {
    async acquire(key, ttlMs) {
      const lock = await locks.acquire(key, ttlMs);
      if (lock === null) throw new Error(`'${key}' was not granted`);
      return () => lock.release();
    },
    close: () => client.close(),
  };
}
