import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { setTimeout as pause } from 'node:timers/promises';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { until } from '../../../test/support/until.js';
import { RedisConnections, systemClock, type Clock, type Link } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { WorkerLease } from './worker-lease.js';

const LEASE_MS = 300;
/** In one slot, as the keys of a queue are. */
const KEYS = { pausedKey: '{q}:paused', usesKey: '{q}:uses', alive: '{q}:alive' };

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
});
afterAll(async () => {
  admin.disconnect();
  await connections.onApplicationShutdown();
  await redis.stop();
});
beforeEach(() => admin.flushall());

const newLease = (clock: Clock = systemClock, link: Link = connections.get().commands): WorkerLease =>
  new WorkerLease({
    link,
    clock,
    ...KEYS,
    consumer: 'me',
    leaseMs: LEASE_MS,
  });

const serverMs = async (): Promise<number> => {
  const [seconds, micros] = await admin.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
};

const endOnServer = async (): Promise<number> => Number(await admin.zscore(KEYS.alive, 'me'));

describe('a lease', () => {
  it('stays paused when a renewal that was sent before the message answers late', async () => {
    const lease = newLease();
    await lease.renew();
    const renewal = lease.renew();
    expect(lease.markPaused()).toBe(true);
    await renewal;
    expect(lease.paused).toBe(true);
    await lease.renew();
    expect(lease.paused).toBe(false);
  });

  it('is not held before it is taken, and not after its end', async () => {
    const lease = newLease();
    expect(lease.held).toBe(false);
    expect(await lease.renew()).toBe(true);
    expect(lease.held).toBe(true);
    await pause(LEASE_MS + 20);
    expect(lease.held).toBe(false);
  });

  it('is not held after the machine slept, or the process did, for as long', async () => {
    const clock = new ManualClock();
    const lease = newLease(clock);
    for (const pass of [
      () => {
        clock.step(LEASE_MS);
      },
      () => {
        clock.jump(LEASE_MS);
      },
    ]) {
      await lease.renew();
      expect(lease.held).toBe(true);
      pass();
      expect(lease.held).toBe(false);
    }
  });

  it('stays known to be unbroken while it is renewed in time', async () => {
    const lease = newLease();
    await lease.renew();
    const { sinceMs } = lease.unbroken;
    await until(async () => lease.renew().then(() => lease.unbroken.endsMs > sinceMs + 2 * LEASE_MS), {
      what: 'it was renewed for more than a lease',
    });
    expect(lease.unbroken).toEqual({ sinceMs, endsMs: await endOnServer() });
  });

  it('that ended, or was taken away, begins anew, and says so', async () => {
    const lease = newLease();
    await lease.renew();
    for (const end of [() => pause(LEASE_MS + 20), () => admin.del(KEYS.alive)]) {
      const { sinceMs } = lease.unbroken;
      await end();
      // Begun in another millisecond of the server's.
      await until(async () => (await serverMs()) > sinceMs, { what: 'time has passed', everyMs: 1 });
      expect(await lease.renew()).toBe(false);
      expect(lease.unbroken.sinceMs).toBeGreaterThan(sinceMs);
      expect(lease.unbroken.endsMs).toBe(await endOnServer());
    }
  });

  it('begins anew after the clock of the server was set back, also if another process moved its end', async () => {
    const link = connections.get().commands;
    let setBackMs = 0;
    const stepped = new Proxy(link, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (name !== 'send') return member;
        return async (...sent: Parameters<Link['send']>): Promise<unknown> => {
          const renewal = await target.send<{ nowMs: number }>(...sent);
          return { ...renewal, nowMs: renewal.nowMs - setBackMs };
        };
      },
    });
    const lease = newLease(systemClock, stepped);
    await lease.renew();
    const { sinceMs } = lease.unbroken;
    setBackMs = 3_600_000;
    expect(await lease.renew()).toBe(false);
    expect(lease.unbroken.sinceMs).toBeLessThan(sinceMs);
    expect(lease.unbroken.endsMs).toBe(lease.unbroken.sinceMs + LEASE_MS);
    expect(await lease.renew()).toBe(true);
  });

  it('that ended in an outage is not taken for unbroken because a renewal was executed whose reply was lost', async () => {
    const lease = newLease();
    await lease.renew();
    const { sinceMs } = lease.unbroken;
    redis.pause();
    await pause(LEASE_MS);
    // Waits in the socket's buffer, and takes the lease anew when Redis goes on.
    await expect(lease.renew()).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    redis.resume();
    await until(async () => (await endOnServer()) > sinceMs + 2 * LEASE_MS, { what: 'it was taken anew' });
    expect(await lease.renew()).toBe(false);
    expect(lease.unbroken.sinceMs).toBeGreaterThan(sinceMs + LEASE_MS);
  });
});
