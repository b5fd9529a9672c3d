import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { defineScript, lua, slotOf } from 'nestjs-sluice/redis';
import { defineQueue, payload } from 'nestjs-sluice/queue';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { cacheMember, HeldLoader } from '../support/cache-member.js';
import { lockMember, type LockMember } from '../support/lock-member.js';
import { startQueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

/** One server in cluster mode that has all slots: it refuses what spans slots. */
let redis: RedisServer;
let admin: Redis;
const apps: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  redis = await startRedis({ slotChecks: true });
  admin = new Redis(redis.url);
});
beforeEach(() => admin.flushall());
afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

async function locking(): Promise<LockMember> {
  const member = await lockMember(redis.url);
  apps.push(member.app);
  return member;
}

const names = Array.from({ length: 40 }, (_, n) => `name${n}`);

it('the server refuses a script over two slots', async () => {
  const { connections } = await locking();
  const planted = defineScript({
    name: 'planted',
    keys: ['a', 'b'],
    args: {},
    lua: lua`return a .. b`,
    decode: String,
  });
  expect(slotOf('a')).not.toBe(slotOf('b'));
  await expect(planted.run(connections.get().commands, { keys: { a: 'a', b: 'b' }, args: {} })).rejects.toMatchObject({
    code: 'SLUICE_REDIS_REFUSED',
    reply: expect.stringContaining('CROSSSLOT'),
  });
});

describe('locks on a server that checks slots', () => {
  it('are waited for in many slots at once: a heartbeat has one script per slot', async () => {
    const [holder, other] = [await locking(), await locking()];
    await admin.config('RESETSTAT');
    const held = await Promise.all(names.map((name) => holder.locks.acquire(name)));
    const waiting = names.map((name) => other.locks.acquire(name, { waitMs: 60_000 }));
    // A heartbeat puts back what is gone: places of waiters in all slots.
    const queues = names.map((name) => `{lock:${name}}:~queue`);
    const there = async (): Promise<number> =>
      (await Promise.all(queues.map((key) => admin.exists(key)))).reduce((a, b) => a + b);
    await until(async () => (await there()) === names.length, { what: 'all wait' });
    await Promise.all(queues.map((key) => admin.del(key)));
    await until(async () => (await there()) === names.length, { what: 'a heartbeat brought all back' });
    // Refused as one script, they would have been asked about one by one.
    expect(await admin.info('errorstats')).not.toContain('CROSSSLOT');
    await Promise.all(held.map((lock) => lock.release()));
    await Promise.all((await Promise.all(waiting)).map((lock) => lock.release()));
  });

  /** Puts a waiter in front of all others, which no inbox is counted for. */
  async function waitElsewhere(ttlMs: number): Promise<void> {
    const [seconds, micros] = await admin.time();
    const nowMs = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
    await admin.zadd('{lock:x}:~queue', 1, 'elsewhere');
    const inbox = 'at-another-node';
    await admin.hset('{lock:x}:~waiters', 'elsewhere', `${nowMs} ${ttlMs} 0 ${inbox.length} ${inbox}elsewhere`);
  }

  it('stay with a waiter whose message nobody is counted to have heard: it may have arrived through another node', async () => {
    const { locks } = await locking();
    const lock = await locks.acquire('x');
    await waitElsewhere(30_000);
    await lock.release();
    expect(await admin.get('lock:x')).toBe('elsewhere');
    expect(await admin.pttl('lock:x')).toBeLessThanOrEqual(22_000);
  });

  it('pass from a waiter that died to the next one when its provisional lease is over', async () => {
    const [holder, other] = [await locking(), await locking()];
    const lock = await holder.locks.acquire('x');
    const next = other.locks.acquire('x', { waitMs: 60_000 });
    await until(async () => (await admin.zcard('{lock:x}:~queue')) === 1, { what: 'it waits' });
    await waitElsewhere(1_500);
    const beforeMs = performance.now();
    await lock.release();
    await (await next).release();
    // Redis counts whole milliseconds.
    expect(performance.now() - beforeMs).toBeGreaterThanOrEqual(1_499);
  });
});

describe('the cache on a server that checks slots', () => {
  it('wakes the first request for a place at a source, whatever PUBLISH counts', async () => {
    const member = await cacheMember({ redis: { url: redis.url } });
    apps.push(member);
    const { cache } = member;
    const limited = { maxConcurrentLoads: 1, source: 'db' };
    const source = new HeldLoader();
    const first = cache.getOrLoad('first', source.load, limited);
    await source.run();
    await admin.zadd('{cache}~queue:db', 1, 'token-1 at-another-node', 2, 'token-2 at-another-node-too');
    source.runs[0]!.succeed(1);
    await first;
    // The place went to the first. On one server, both would have been taken for dead.
    await until(async () => (await admin.zcard('{cache}~queue:db')) === 1, { what: 'the first was told' });
    expect(await admin.zrange('{cache}~queue:db', '0', '-1')).toEqual(['token-2 at-another-node-too']);
  });
});

describe('queues on a server that checks slots', () => {
  it('are read by one process in many slots: at once, delayed, retried', async () => {
    const seen = new Set<string>();
    const queues = names.slice(0, 8);
    const run = (task: { stream: string; payload: { how: string }; attempt: number }): void => {
      if (task.payload.how === 'retried' && task.attempt === 1) throw new Error('thrown by a test on purpose');
      seen.add(`${task.stream} ${task.payload.how}`);
    };
    const { app, queue } = await startQueueApp({
      url: redis.url,
      handlers: Object.fromEntries(queues.map((name) => [name, run as never])),
    });
    apps.push(app);
    const sockets = String(await admin.client('LIST')).match(/name=sluice:queue /g);
    expect(sockets).toHaveLength(new Set(queues.map(slotOf)).size);
    for (const name of queues) {
      await queue.publishMany(name, [{ how: 'at once' }, { how: 'retried' }]);
      await queue.publish(name, { how: 'delayed' }, { delayMs: 50 });
    }
    await until(() => seen.size === queues.length * 3, { what: 'all tasks have run' });
    for (const name of queues) expect(await queue.counts(name)).toMatchObject({ dead: 0 });
  });

  it('are read by one socket for all named tasks of a queue, and paused, counted and redriven as a whole', async () => {
    const files = defineQueue('files', { tasks: { a: payload<number>(), b: payload<number>(), c: payload<number>() } });
    const { tasks } = files;
    const seen = new Set<string>();
    const run = (task: { stream: string; payload: number; attempt: number }): void => {
      if (task.payload === 0) throw new Error('thrown by a test on purpose');
      seen.add(`${task.stream} ${task.payload}`);
    };
    const { app, queue } = await startQueueApp({
      url: redis.url,
      handlers: Object.fromEntries(
        Object.values(tasks).map(({ name }) => [name, { run: run as never, options: { maxAttempts: 1 } }]),
      ),
      queue: { handlers: { files: { concurrency: 2 } } },
    });
    apps.push(app);
    expect(String(await admin.client('LIST')).match(/name=sluice:queue /g)).toHaveLength(1);
    for (const each of Object.values(tasks)) await queue.publishMany(each, [0, 1, 2, 3]);
    await until(async () => seen.size === 9 && (await queue.counts(files)).dead === 3, { what: 'all have run' });
    expect(await queue.pause(files)).toEqual({ changed: true, unconfirmed: [] });
    expect(await queue.dead(files).redrive()).toBe(3);
    expect(await queue.counts(files)).toMatchObject({ waiting: 3, paused: true });
    await queue.resume(files);
    await until(async () => (await queue.counts(files)).dead === 3, { what: 'all have failed again' });
  });

  it('are not copied by raw.retry to a stream in another slot, and the error names the fix', async () => {
    const { app, queue } = await startQueueApp({ url: redis.url });
    apps.push(app);
    await expect(queue.raw.retry('orders', '1-1', 'x', 0, 'retries', 'dead', 3)).rejects.toMatchObject({
      code: 'SLUICE_BAD_NAME',
      message: expect.stringContaining("Give them one hash tag: '{orders}', '{orders}:retry', '{orders}:dead'"),
    });
    expect(await queue.raw.retry('{orders}', '1-1', 'x', 0, '{orders}:retry', '{orders}:dead', 3)).toBe('OK');
  });
});
