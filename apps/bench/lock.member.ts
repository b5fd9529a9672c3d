/** One process of a fleet that shares locks. */
import { Redis } from 'ioredis';
import { LockService } from 'nestjs-sluice';
import { setTimeout as pause } from 'node:timers/promises';
import { emit, serve } from '../../test/support/app-host.js';
import { startApp } from './app.js';
import { nowMs } from './now.js';
import { LOCK_PEERS, type LockPeerName } from './peers/locks.js';

/** One time that a waiter had the lock. Machine-wide milliseconds. */
export interface Hold {
  grantedAt: number;
  releasedAt: number;
}

export type Locker = 'sluice' | LockPeerName;

const url = process.env['REDIS_URL'] ?? '';
const acquirers = new Map<Locker, (name: string) => Promise<() => Promise<unknown>>>();
const closers: (() => Promise<void>)[] = [];
const client = new Redis(url);
const subscriber = client.duplicate();
closers.push(async () => {
  await Promise.all([client.quit(), subscriber.quit()]);
});

async function start(locker: Locker): Promise<void> {
  if (acquirers.has(locker)) return;
  if (locker === 'sluice') {
    const app = await startApp(url);
    const locks = app.get(LockService);
    acquirers.set(locker, async (name) => {
      const lock = await locks.acquire(name, { waitMs: 60_000 });
      return () => lock.release();
    });
    closers.push(() => app.close());
    return;
  }
  const peer = await LOCK_PEERS[locker](url);
  acquirers.set(locker, (name) => peer.acquire(`${locker}:${name}`, 30_000));
  closers.push(() => peer.close());
}

async function hold(locker: Locker, name: string, holdMs: number): Promise<Hold> {
  const release = await acquirers.get(locker)?.(name);
  if (!release) throw new Error(`${locker} was not started`);
  const grantedAt = nowMs();
  await pause(holdMs);
  const releasedAt = nowMs();
  await release();
  return { grantedAt, releasedAt };
}

/** The same by hand, once the order is known: a script that publishes to the process whose turn is next. */
const PASS_ON = `return redis.call('PUBLISH', KEYS[1], ARGV[1])`;

async function chain(me: number, processes: number, length: number, holdMs: number): Promise<void> {
  await subscriber.unsubscribe();
  subscriber.removeAllListeners('message');
  const sha = String(await client.script('LOAD', PASS_ON));
  subscriber.on('message', (_channel: string, message: string) => {
    const grantedAt = nowMs();
    const turn = Number(message);
    setTimeout(() => {
      const releasedAt = nowMs();
      if (turn < length) void client.evalsha(sha, 1, `turn:${(turn + 1) % processes}`, turn + 1);
      emit('turn', { grantedAt, releasedAt } satisfies Hold);
    }, holdMs);
  });
  await subscriber.subscribe(`turn:${me}`);
}

serve({
  ops: {
    start,
    /** So many waiters, all at once. */
    wait: (locker: Locker, name: string, waiters: number, holdMs: number) =>
      Promise.all(Array.from({ length: waiters }, () => hold(locker, name, holdMs))),
    chain,
    /** Takes these locks and keeps them. Answers when each was asked for. */
    keep: async (names: string[], ttlMs: number) => {
      const app = await startApp(url);
      const locks = app.get(LockService);
      return Promise.all(
        names.map(async (name) => {
          const sentAt = nowMs();
          await locks.acquire(name, { ttlMs, renew: false });
          return sentAt;
        }),
      );
    },
  },
  stop: async () => {
    await Promise.all(closers.map((close) => close()));
  },
});
