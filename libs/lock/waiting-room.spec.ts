import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { lockMember, type LockMember, type LockMemberOptions } from '../../test/support/lock-member.js';
import { ManualClock } from '../../test/support/manual-clock.js';
import { until } from '../../test/support/until.js';
import { Keyspace, frame } from '../redis/index.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import type { Lock } from './index.js';
import { lockKeys } from './lock.keys.js';
import type { LockRequest } from './lock-request.js';
import type { LockStore } from './lock.store.js';
import type { Heartbeat } from './scripts/heartbeat.script.js';
import { WaitingRoom } from './waiting-room.js';

let redis: RedisServer;
let admin: Redis;
const members: LockMember[] = [];
const subscribers: Redis[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { retryStrategy: () => 50 });
  admin.on('error', () => {});
});
afterEach(async () => {
  for (const subscriber of subscribers.splice(0)) subscriber.disconnect();
  await Promise.all(members.splice(0).map(({ app }) => app.close()));
  await admin.flushall();
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

async function member(options?: LockMemberOptions): Promise<LockMember> {
  const joined = await lockMember(redis.url, options);
  members.push(joined);
  await until(async () => (await listeners(joined)) === 1, { what: 'its inbox is subscribed', everyMs: 5 });
  return joined;
}

/** Somebody who hears what is pushed there, and does nothing: a paused process, whose socket is open. */
async function deaf(inbox: string): Promise<void> {
  const subscriber = new Redis(redis.url);
  subscribers.push(subscriber);
  await subscriber.subscribe(inbox);
}

const listeners = async ({ connections }: LockMember): Promise<number> =>
  ((await admin.pubsub('NUMSUB', connections.get().inbox.channel)) as [string, number])[1];

const inQueue = (): Promise<string[]> => admin.zrange('{lock:x}:~queue', '0', '-1');
const waiting = (count: number): Promise<unknown> =>
  until(async () => (await inQueue()).length === count, { what: `${count} wait`, everyMs: 5 });

/** Someone who waits in the queue but is not of this test's processes. `seenMsAgo`: since its last heartbeat. */
async function stranger(nonce: string, inbox: string, seenMsAgo: number): Promise<void> {
  const [seconds = 0, micros = 0] = await admin.time();
  const nowMs = seconds * 1_000 + Math.floor(micros / 1_000);
  const last = Number((await admin.zrange('{lock:x}:~queue', '-1', '-1', 'WITHSCORES'))[1] ?? 0);
  await admin.zadd('{lock:x}:~queue', Math.max(last + 1, nowMs * 1_000), nonce);
  const record = frame(String(nowMs - seenMsAgo), '30000', inbox, 'stranger', nonce);
  await admin.hset('{lock:x}:~waiters', nonce, record);
}

/** How long after `from` the lock was granted. */
async function grantedAfter(granted: Promise<Lock>, from: number): Promise<number> {
  await granted;
  return performance.now() - from;
}

describe('a hand-over passes over', () => {
  it('a process that died: nobody listens at its inbox', async () => {
    const { locks } = await member();
    const lock = await locks.acquire('x');
    await stranger('dead', 'nobody-listens-here', 0);
    const next = locks.acquire('x');
    await waiting(2);
    const from = performance.now();
    await lock.release();
    expect(await grantedAfter(next, from)).toBeLessThan(500);
    expect(await inQueue()).toEqual([]);
  });

  it('a process that was silent for three heartbeats, though its socket is open', async () => {
    const { locks } = await member();
    const lock = await locks.acquire('x');
    await deaf('paused');
    await stranger('paused', 'paused', 3_100);
    const next = locks.acquire('x');
    await waiting(2);
    const from = performance.now();
    await lock.release();
    expect(await grantedAfter(next, from)).toBeLessThan(500);
  });

  it('a hundred dead ones, and an acquisition that comes then has to wait its turn', async () => {
    const { locks } = await member();
    const lock = await locks.acquire('x');
    for (let i = 0; i < 100; i++) await stranger(`dead ${i}`, 'nobody-listens-here', 0);
    const next = locks.acquire('x');
    await waiting(101);
    await lock.release();
    // 64 were looked at. The lock is free, and yet not for those who did not wait.
    expect(await locks.tryAcquire('x')).toBeNull();
    expect((await next).held).toBe(true);
  });

  it('one that does not claim its grant: it lasts two seconds', async () => {
    const { locks } = await member();
    const lock = await locks.acquire('x');
    await deaf('hung');
    await stranger('hung', 'hung', 0);
    const next = locks.acquire('x', { waitMs: 5_000 });
    await waiting(2);
    const from = performance.now();
    await lock.release();
    expect(await admin.pttl('lock:x')).toBeLessThanOrEqual(2_000);
    const tookMs = await grantedAfter(next, from);
    expect(tookMs).toBeGreaterThan(1_900);
    expect(tookMs).toBeLessThan(3_000);
  });
});

describe('what no message tells is noticed', () => {
  it('when the holder died: as soon as its lease ends', async () => {
    const [dead, { locks }] = [await member(), await member()];
    await dead.locks.acquire('x', { ttlMs: 400, renew: false });
    const from = performance.now();
    const tookMs = await grantedAfter(locks.acquire('x'), from);
    expect(tookMs).toBeGreaterThan(390);
    expect(tookMs).toBeLessThan(600);
  });

  it('when a push was lost: by the next heartbeat', async () => {
    const [{ locks }, other] = [await member(), await member()];
    const lock = await locks.acquire('x');
    const next = other.locks.acquire('x');
    await waiting(1);
    const [nonce] = await inQueue();
    const record = await admin.hget('{lock:x}:~waiters', nonce!);
    // The grant goes to another channel, where somebody listens.
    await deaf('astray');
    const { channel } = other.connections.get().inbox;
    const astray = record!.replace(`${channel.length}:${channel}`, '6:astray');
    await admin.hset('{lock:x}:~waiters', nonce!, astray);
    await lock.release();
    const granted = await next;
    expect(granted.held).toBe(true);
    expect(await admin.get('lock:x')).toBe(granted.owner);
    expect(await admin.pttl('lock:x')).toBeGreaterThan(2_000);
  });

  it('when the inbox was subscribed anew: at once', async () => {
    const [{ locks }, other] = [await member(), await member()];
    const lock = await locks.acquire('x');
    const next = other.locks.acquire('x');
    await waiting(1);
    const from = performance.now();
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await lock.release();
    // The next heartbeat would come a second after the first request.
    expect(await grantedAfter(next, from)).toBeLessThan(700);
  });

  it('when Redis lost everything: the waiters line up again in their order', async () => {
    const [{ locks }, other] = [await member(), await member()];
    await locks.acquire('x');
    const order: number[] = [];
    const all = [0, 1, 2].map(async (i) => {
      await until(async () => (await inQueue()).length === i, { what: 'its turn to come', everyMs: 2 });
      await [locks, other.locks, locks][i]!.withLock('x', () => void order.push(i));
    });
    await waiting(3);
    await admin.set('lock:x', 'a foreign holder');
    await admin.del('{lock:x}:~queue', '{lock:x}:~waiters', '{lock:x}:~fence', '{lock:x}:~holder');
    await waiting(3);
    await admin.del('lock:x');
    await Promise.all(all);
    expect(order).toEqual([0, 1, 2]);
  });

  it('when it is itself passed over by mistake: it returns to its place', async () => {
    const [{ locks }, other] = [await member(), await member()];
    const lock = await locks.acquire('x');
    const order: string[] = [];
    const first = other.locks.withLock('x', () => void order.push('first'));
    await waiting(1);
    const second = locks.withLock('x', () => void order.push('second'));
    await waiting(2);
    const [nonce] = await inQueue();
    await admin.zrem('{lock:x}:~queue', nonce!);
    await waiting(2);
    expect((await inQueue())[0]).toBe(nonce);
    await lock.release();
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
  });
});

describe('a push', () => {
  it('of a grant that is over is not believed', async () => {
    const [{ locks }, other] = [await member(), await member()];
    const lock = await locks.acquire('x');
    let granted = false;
    const next = other.locks.acquire('x').then((got) => {
      granted = true;
      return got;
    });
    await waiting(1);
    const [nonce] = await inQueue();
    const owner = 'whoever';
    // As if granted and expired long ago, and delivered only now: its token is not above the last one known.
    const stale = frame('lock', 'lock:x', nonce!, owner, String(lock.fencingToken), '2000');
    expect(await admin.publish(other.connections.get().inbox.channel, stale)).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(granted).toBe(false);
    await lock.release();
    expect((await next).fencingToken).toBeGreaterThan(lock.fencingToken);
  });

  it('for nobody who waits here goes back at once', async () => {
    const { locks, connections } = await member();
    const lock = await locks.acquire('x');
    await stranger('left long ago', connections.get().inbox.channel, 0);
    const from = performance.now();
    await lock.release();
    await until(async () => (await admin.exists('lock:x')) === 0, { what: 'the grant is given back', everyMs: 5 });
    expect(performance.now() - from).toBeLessThan(1_000);
    expect(await locks.tryAcquire('x')).not.toBeNull();
  });

  it('that comes with the end of the wait leaves no lock behind', async () => {
    const [{ locks }, other] = [await member(), await member()];
    for (let i = 0; i < 40; i++) {
      const lock = await locks.acquire('x');
      const next = other.locks.acquire('x', { waitMs: 20 }).then(
        (got) => got.release(),
        () => 'timed out',
      );
      await new Promise((resolve) => setTimeout(resolve, 19 + (i % 5) / 2));
      await lock.release();
      await next;
      await until(async () => (await admin.exists('lock:x')) === 0, { what: 'it is free', everyMs: 2 });
      expect(await inQueue()).toEqual([]);
    }
  });

  it('starts the body before the full lease is claimed, and claims it', async () => {
    const [{ locks }, other] = [await member(), await member()];
    const lock = await locks.acquire('x');
    const next = other.locks.acquire('x', { renew: false });
    await waiting(1);
    await lock.release();
    const granted = await next;
    expect(granted.expiresAt - Date.now()).toBeLessThanOrEqual(2_000);
    await until(async () => granted.expiresAt - Date.now() > 20_000, { what: 'it is claimed', everyMs: 2 });
    expect(await admin.pttl('lock:x')).toBeGreaterThan(20_000);
  });
});

describe('a heartbeat that is executed late', () => {
  it('passes on what it was granted for those who have left since', async () => {
    const clock = new ManualClock();
    const asked: ((answer: Heartbeat) => void)[] = [];
    const unwanted: LockRequest[] = [];
    const busy = { state: 'busy', ttlMs: -1, fence: 1, holder: undefined, place: '7' } as const;
    const store: Pick<LockStore, 'join' | 'heartbeat'> = {
      join: () => Promise.resolve(busy),
      heartbeat: () => new Promise((resolve) => asked.push(resolve)),
    };
    const room = new WaitingRoom(
      clock,
      store,
      (request) => unwanted.push(request),
      (error) => {
        throw error;
      },
    );
    const keys = lockKeys(new Keyspace(), 'x');
    const request = { name: 'x', keys, nonce: 'n', owner: 'o', ttlMs: 30_000, renew: true };
    const failed = room.wait(request, 1_500, undefined, (waiter) => {
      waiter.fail(new Error('gave up'));
    });
    await Promise.all([clock.pass(2_000), expect(failed).rejects.toThrow('gave up')]);
    expect(asked).toHaveLength(1);
    asked[0]!({ ttlMs: 30_000, fence: 1, granted: { nonce: 'n', token: 2 }, places: ['7'] });
    await clock.pass(0);
    expect(unwanted).toEqual([request]);
    expect(await room.close()).toEqual([]);
    expect(clock.timers).toBe(0);
  });
});

describe('while Redis is away', () => {
  it('does not take a slow answer for a busy lock', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url);
    try {
      await locks.withLock('x', () => 0);
      server.pause();
      const free = locks.acquire('x', { waitMs: 20 });
      const other = locks.acquire('x', { waitMs: 20 });
      await new Promise((resolve) => setTimeout(resolve, 100));
      server.resume();
      expect((await free).held).toBe(true);
      await expect(other).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
      server.pause();
      await expect(locks.acquire('y', { waitMs: 20 })).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    } finally {
      server.resume();
      await app.close();
      await server.stop();
    }
  });

  it('waits for it, and rejects with what is wrong when the time is over', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url);
    try {
      await server.kill();
      await until(async () => (await locks.tryAcquire('x').catch(() => 'down')) === 'down', { what: 'it is down' });
      await expect(locks.acquire('x', { waitMs: 250 })).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
      const waiter = locks.acquire('x', { waitMs: 20_000 });
      await server.restart();
      expect((await waiter).held).toBe(true);
    } finally {
      await app.close();
      await server.stop();
    }
  });

  it('runs a tick when it is back', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url);
    try {
      await server.kill();
      const tick = { method: 'Job.run', instantMs: 1, keepMs: 60_000 };
      await expect(locks.acquireTick('x', tick, { waitMs: 0 })).rejects.toMatchObject({
        code: 'SLUICE_REDIS_UNAVAILABLE',
      });
      const taken = locks.acquireTick('x', tick, { waitMs: 20_000 });
      await server.restart();
      await (await taken)?.release();
      expect(await locks.acquireTick('x', tick, {})).toBeNull();
      expect(await locks.acquireTick('x', { ...tick, instantMs: 0 }, {})).toBeNull();
      expect(await locks.acquireTick('x', { ...tick, instantMs: 2 }, {})).not.toBeNull();
    } finally {
      await app.close();
      await server.stop();
    }
  });

  it('loses the lock on time, and takes it again when Redis is back', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url, { commandTimeoutMs: 300 });
    try {
      const lock = await locks.acquire('x', { ttlMs: 400 });
      const aborted = new Promise<number>((resolve) => {
        lock.signal.addEventListener('abort', () => {
          resolve(Date.now() - lock.expiresAt);
        });
      });
      server.pause();
      const late = await aborted;
      expect(late).toBeGreaterThanOrEqual(0);
      expect(late).toBeLessThan(150);
      expect(lock.held).toBe(false);
      server.resume();
      const next = await locks.acquire('x');
      expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    } finally {
      server.resume();
      await app.close();
      await server.stop();
    }
  });

  it('hides nothing of the body behind a release that fails, and releases later', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url, { commandTimeoutMs: 300 });
    try {
      const ran = locks.withLock('x', { ttlMs: 60_000 }, () => {
        server.pause();
        return 'done';
      });
      expect(await ran).toBe('done');
      server.resume();
      const again = await locks.acquire('x', { waitMs: 5_000 });
      expect(again.held).toBe(true);
    } finally {
      server.resume();
      await app.close();
      await server.stop();
    }
  });
});
