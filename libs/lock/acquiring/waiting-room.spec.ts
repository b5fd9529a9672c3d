import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { commandDelta } from '../../../test/support/command-delta.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { itOnOneServer } from '../../../test/support/one-server.js';
import { unheard } from '../../../test/support/unheard.js';
import { until } from '../../../test/support/until.js';
import { frame } from '../../redis/index.js';
import type { Lock } from '../index.js';
import { releaseScript } from '../store/scripts/release.script.js';

const bed = new LockBed();
const { listening, waiting } = bed;
const subscribers: Redis[] = [];
afterEach(() => {
  for (const subscriber of subscribers.splice(0)) subscriber.disconnect();
});

/** The inbox of another process. A user of Redis with the rights of locks alone may publish there. */
const inboxOf = (process: string): string => `:~inbox:0:${process}`;

/** Somebody who hears what is pushed there, and does nothing: a paused process, whose socket is open. */
async function deaf(inbox: string): Promise<void> {
  const subscriber = new Redis(bed.redis.url);
  subscribers.push(subscriber);
  await subscriber.subscribe(inbox);
}

const inQueue = (): Promise<string[]> => bed.admin.zrange('{lock:x}:~queue', '0', '-1');

/** What is known of a waiter, as the scripts note it. */
const known = (seenMs: number, inbox: string, owner: string): string =>
  `${seenMs} 30000 0 ${inbox.length} ${inbox}${owner}`;

/** Someone who waits in the queue but is not of this test's processes. `seenMsAgo`: since its last heartbeat. */
async function stranger(nonce: string, inbox: string, seenMsAgo: number): Promise<void> {
  const [seconds = 0, micros = 0] = await bed.admin.time();
  const nowMs = seconds * 1_000 + Math.floor(micros / 1_000);
  const last = Number((await bed.admin.zrange('{lock:x}:~queue', '-1', '-1', 'WITHSCORES'))[1] ?? 0);
  await bed.admin.zadd('{lock:x}:~queue', Math.max(last + 1, nowMs * 1_000), nonce);
  await bed.admin.hset('{lock:x}:~waiters', nonce, known(nowMs - seenMsAgo, inbox, nonce));
}

/** How long after `from` the lock was granted. */
async function grantedAfter(granted: Promise<Lock>, from: number): Promise<number> {
  await granted;
  return performance.now() - from;
}

describe('a hand-over passes over', () => {
  itOnOneServer('a process that died: nobody listens at its inbox', async () => {
    const { locks } = await listening();
    const lock = await locks.acquire('x');
    await stranger('dead', unheard(), 0);
    const next = locks.acquire('x');
    await waiting(2);
    const from = performance.now();
    await lock.release();
    expect(await grantedAfter(next, from)).toBeLessThan(500);
    expect(await inQueue()).toEqual([]);
  });

  it('a process that was silent for three heartbeats, though its socket is open', async () => {
    const { locks } = await listening();
    const lock = await locks.acquire('x');
    await deaf(inboxOf('paused'));
    await stranger('paused', inboxOf('paused'), 3_100);
    const next = locks.acquire('x');
    await waiting(2);
    const from = performance.now();
    await lock.release();
    expect(await grantedAfter(next, from)).toBeLessThan(500);
  });

  itOnOneServer('a hundred dead ones, and an acquisition that comes then has to wait its turn', async () => {
    const { locks } = await listening();
    const lock = await locks.acquire('x');
    for (let i = 0; i < 100; i++) await stranger(`dead ${i}`, unheard(), 0);
    const next = locks.acquire('x');
    await waiting(101);
    await lock.release();
    // 64 were looked at. The lock is free, and yet not for those who did not wait.
    expect(await locks.tryAcquire('x')).toBeNull();
    expect((await next).held).toBe(true);
  });

  itOnOneServer('a thousand dead ones, a few at a time, without waiting for a heartbeat', async () => {
    const { locks } = await listening();
    const lock = await locks.acquire('x');
    const [place, record] = [Date.now() * 1_000, known(Date.now(), unheard(), 'dead')];
    const dead = Array.from({ length: 1_000 }, (_, i) => `dead ${i}`);
    await bed.admin.zadd('{lock:x}:~queue', ...dead.flatMap((nonce, i) => [place - 10_000 + i, nonce]));
    await bed.admin.hset('{lock:x}:~waiters', ...dead.flatMap((nonce) => [nonce, record]));
    const next = locks.acquire('x');
    await waiting(1_001);
    const { calls } = await commandDelta(bed.admin, async () => {
      await lock.release();
      // Free for now, and yet not for a request that did not wait, whatever its owner.
      expect(await locks.tryAcquire('x', { owner: 'mine' })).toBeNull();
      await next;
    });
    // 1,001 at 64 a call, by the release and what follows it at once. A heartbeat or two may come in between.
    expect(calls['evalsha']).toBeGreaterThanOrEqual(16);
    expect(calls['evalsha']).toBeLessThanOrEqual(22);
    expect(calls['publish']).toBe(1_001);
    expect(await bed.admin.exists('{lock:x}:~queue', '{lock:x}:~waiters')).toBe(0);
  });

  it('one that does not claim its grant: it lasts two thirds of its lease and two seconds', async () => {
    const { locks } = await listening();
    const lock = await locks.acquire('x');
    await deaf(inboxOf('hung'));
    await stranger('hung', inboxOf('hung'), 0);
    const next = locks.acquire('x', { waitMs: 60_000 });
    await waiting(2);
    await lock.release();
    const ttlMs = await bed.admin.pttl('lock:x');
    expect(ttlMs).toBeLessThanOrEqual(22_000);
    expect(ttlMs).toBeGreaterThan(20_000);
    // So long is not waited for here: it ends now.
    await bed.admin.pexpire('lock:x', 300);
    const from = performance.now();
    expect(await grantedAfter(next, from)).toBeLessThan(3_000);
  });
});

describe('what no message tells is noticed', () => {
  it('when the holder died: as soon as its lease ends', async () => {
    const [dead, { locks }] = [await listening(), await listening()];
    let round = 0;
    const isSoon = async (): Promise<boolean> => {
      const name = `x${round++}`;
      const from = performance.now();
      await dead.locks.acquire(name, { ttlMs: 400, renew: false });
      const tookMs = await grantedAfter(locks.acquire(name), from);
      expect(tookMs).toBeGreaterThan(390);
      return tookMs < 600;
    };
    // The next heartbeat would come a second after the request. A slow machine needs more than one round.
    await until(isSoon, { what: 'the lock is granted within 200 ms of its end' });
  });

  it('when a push was lost: by the next heartbeat', async () => {
    const [{ locks }, other] = [await listening(), await listening()];
    const lock = await locks.acquire('x');
    const next = other.locks.acquire('x');
    await waiting(1);
    const [nonce] = await inQueue();
    const record = await bed.admin.hget('{lock:x}:~waiters', nonce!);
    // The grant goes to another channel, where somebody listens.
    const elsewhere = inboxOf('astray');
    await deaf(elsewhere);
    const { channel } = other.connections.get().inbox;
    const astray = record!.replace(`${channel.length} ${channel}`, `${elsewhere.length} ${elsewhere}`);
    expect(astray).not.toBe(record);
    await bed.admin.hset('{lock:x}:~waiters', nonce!, astray);
    await lock.release();
    const granted = await next;
    expect(granted.held).toBe(true);
    expect(await bed.admin.get('lock:x')).toBe(granted.owner);
    expect(await bed.admin.pttl('lock:x')).toBeGreaterThan(2_000);
  });

  it('when the inbox was subscribed anew: at once', async () => {
    const [{ locks }, other] = [await listening(), await listening()];
    const lock = await locks.acquire('x');
    const next = other.locks.acquire('x');
    await waiting(1);
    const from = performance.now();
    await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await lock.release();
    // The next heartbeat would come a second after the first request.
    expect(await grantedAfter(next, from)).toBeLessThan(700);
  });

  it('when Redis lost everything: the waiters line up again in their order', async () => {
    const [{ locks }, other] = [await listening(), await listening()];
    await locks.acquire('x');
    const order: number[] = [];
    const all = [0, 1, 2].map(async (i) => {
      await until(async () => (await inQueue()).length === i, { what: 'its turn to come', everyMs: 2 });
      await [locks, other.locks, locks][i]!.withLock('x', () => void order.push(i));
    });
    await waiting(3);
    await bed.admin.set('lock:x', 'a foreign holder');
    await bed.admin.del('{lock:x}:~queue', '{lock:x}:~waiters', '{lock:x}:~fence', '{lock:x}:~holder');
    await waiting(3);
    await bed.admin.del('lock:x');
    await Promise.all(all);
    expect(order).toEqual([0, 1, 2]);
  });

  it('when it is itself passed over by mistake: it returns to its place', async () => {
    const [{ locks }, other] = [await listening(), await listening()];
    const lock = await locks.acquire('x');
    const order: string[] = [];
    const first = other.locks.withLock('x', () => void order.push('first'));
    await waiting(1);
    const second = locks.withLock('x', () => void order.push('second'));
    await waiting(2);
    const [nonce] = await inQueue();
    await bed.admin.zrem('{lock:x}:~queue', nonce!);
    await waiting(2);
    expect((await inQueue())[0]).toBe(nonce);
    await lock.release();
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
  });
});

describe('a free lock that others wait for', () => {
  it('goes to the first of them, not to a call that comes by', async () => {
    const [{ locks }, other] = [await listening(), await listening()];
    await locks.acquire('x');
    const next = other.locks.acquire('x');
    await waiting(1);
    await bed.admin.del('lock:x');
    expect(await locks.tryAcquire('x')).toBeNull();
    expect((await next).held).toBe(true);
  });
});

describe('a push', () => {
  it('of a grant that is over is not believed', async () => {
    const [{ locks }, other] = [await listening(), await listening()];
    const lock = await locks.acquire('x');
    let granted = false;
    const next = other.locks.acquire('x').then((got) => {
      granted = true;
      return got;
    });
    await waiting(1);
    const [nonce] = await inQueue();
    const { inbox } = other.connections.get();
    // As if granted and expired long ago, and delivered only now: its token is not above the last one known.
    const stale = frame('lock:granted', 'lock:x', nonce!, nonce!, String(lock.fencingToken), '22000');
    // A socket that was given up a moment ago may hear it as well.
    expect(await bed.admin.publish(inbox.channel, stale)).toBeGreaterThanOrEqual(1);
    const publishedMs = performance.now();
    await until(() => inbox.proven.monoMs > publishedMs, { what: 'the push has arrived' });
    expect(granted).toBe(false);
    await lock.release();
    expect((await next).fencingToken).toBeGreaterThan(lock.fencingToken);
  });

  it('for nobody who waits here goes back at once', async () => {
    const { locks, connections } = await listening();
    const lock = await locks.acquire('x');
    await stranger('left long ago', connections.get().inbox.channel, 0);
    const from = performance.now();
    await lock.release();
    await until(async () => (await bed.admin.exists('lock:x')) === 0, { what: 'the grant is given back', everyMs: 5 });
    expect(performance.now() - from).toBeLessThan(1_000);
    expect(await locks.tryAcquire('x')).not.toBeNull();
  });

  it('that comes with the end of the wait leaves no lock behind', async () => {
    const [{ locks }, other] = [await listening(), await listening()];
    for (let i = 0; i < 40; i++) {
      const lock = await locks.acquire('x');
      const next = other.locks.acquire('x', { waitMs: 20 }).then(
        (got) => got.release(),
        () => 'timed out',
      );
      await new Promise((resolve) => setTimeout(resolve, 19 + (i % 5) / 2));
      await lock.release();
      await next;
      await until(async () => (await bed.admin.exists('lock:x')) === 0, { what: 'it is free', everyMs: 2 });
      expect(await inQueue()).toEqual([]);
    }
  });

  it('starts the body before the full lease is claimed, and claims it', async () => {
    const [{ locks }, other] = [await listening(), await listening()];
    const lock = await locks.acquire('x');
    const next = other.locks.acquire('x', { renew: false });
    await waiting(1);
    await lock.release();
    const granted = await next;
    expect(granted.expiresAt - Date.now()).toBeLessThanOrEqual(22_000);
    await until(async () => granted.expiresAt - Date.now() > 25_000, { what: 'it is claimed', everyMs: 2 });
    expect(await bed.admin.pttl('lock:x')).toBeGreaterThan(25_000);
  });
});

describe('an acquisition that is executed late', () => {
  it('passes on what it was granted to somebody who has left since', async () => {
    const { locks } = await listening();
    // A script that the server does not know is sent twice: the release overtakes the acquisition.
    await bed.admin.script('FLUSH');
    await bed.admin.script('LOAD', releaseScript.lua);
    const controller = new AbortController();
    const call = locks.acquire('x', { ttlMs: 300_000, signal: controller.signal });
    const reason = new Error('not any more');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    await until(async () => (await bed.admin.exists('{lock:x}:~fence')) === 1, { what: 'it is granted', everyMs: 2 });
    await until(async () => (await bed.admin.exists('lock:x')) === 0, { what: 'it is passed on' });
  });
});
