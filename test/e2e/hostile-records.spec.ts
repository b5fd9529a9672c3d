import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { CacheService, LockService, QueueService, SluiceModule, TaskHandler, type Task } from 'nestjs-sluice';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { frame } from '../../libs/redis/index.js';
import { until } from '../support/until.js';

/** What whoever may write to the same Redis can leave there: nothing of it stops a process, Redis, or another's work. */
let redis: RedisServer;
let admin: Redis;
let app: TestingModule;
let cache: CacheService;
let locks: LockService;
let queue: QueueService;
const handled: unknown[] = [];

@Injectable()
class Handlers {
  @TaskHandler('tasks')
  async handle(task: Task<never>): Promise<void> {
    handled.push(task.payload);
    return Promise.resolve();
  }
}

beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  const module = SluiceModule.forRoot({ redis: { url: redis.url } });
  app = await (await Test.createTestingModule({ imports: [module], providers: [Handlers] }).compile()).init();
  [cache, locks, queue] = [app.get(CacheService), app.get(LockService), app.get(QueueService)];
});
afterAll(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
});
beforeEach(() => {
  handled.length = 0;
});

/** Numbers to Lua's `tonumber` and to JavaScript's `Number`, and none of ours. */
const ODD = ['-3', 'nan', 'inf', '-inf', '0x10', '1e3', '1e309', ' 7', '', '9'.repeat(17), '9'.repeat(400), '1.5'];

describe('a delayed task', () => {
  it.each([
    ...ODD.map((length) => `${length}:`),
    '3:ab',
    '1:a1:b',
    '1:11:01:09:ab',
    '1:a'.repeat(10_000),
    'x'.repeat(100_000),
  ])('with the body %.20j is a dead letter, and others run', async (body) => {
    await queue.dead('tasks').purge();
    await queue.publish('tasks', 'in time', { delayMs: 60_000 });
    const [handle = ''] = await admin.zrange('{tasks}:~delayed', '0', '-1');
    await admin.hset('{tasks}:~bodies', handle, body);
    await admin.zadd('{tasks}:~delayed', '1', handle);
    await queue.publish('tasks', body.length, { delayMs: 1 });
    await until(() => handled.includes(body.length), { what: 'the other task has run' });
    expect((await queue.dead('tasks').list()).tasks).toMatchObject([{ reason: 'bad-body', id: handle }]);
  });
});

describe('a value of the cache', () => {
  const load = (): string => 'loaded';

  it.each<[string, (epoch: string) => string]>([
    ['a header of digits without an end', () => `^1 e 1 ${'1'.repeat(400_000)}`],
    ['a header without an end', () => `^1 ${'e'.repeat(1_000_000)}`],
    ['tags without epochs', (epoch) => `^1 ${epoch} 9999999999999 1 ${'a'.repeat(400_000)}\n"forged"`],
    ['tags of epochs that are none', (epoch) => `^1 ${epoch} 9999999999999 1${' a=b'.repeat(10_000)}\n"forged"`],
    ['a time of 400 digits', (epoch) => `^1 ${epoch} ${'9'.repeat(400)} 1\n"forged"`],
    ['a load of 400 digits', (epoch) => `^1 ${epoch} 9999999999999 ${'9'.repeat(400)}\n"forged"`],
    ['a negative time', (epoch) => `^1 ${epoch} -1 1\n"forged"`],
    ['no epoch', () => '^1  9999999999999 1\n"forged"'],
    ['another version', (epoch) => `^2 ${epoch} 9999999999999 1\n"forged"`],
    ['nothing', () => ''],
  ])('with %s is loaded and stored anew', async (what, forge) => {
    const key = what.replaceAll(' ', '-');
    await cache.getOrLoad('seed', load);
    await admin.set(`{cache}:${key}`, forge((await admin.get('{cache}~epoch')) ?? ''));
    const startedMs = performance.now();
    if (what !== 'tags without epochs') expect(await cache.get(key)).toBeUndefined();
    await cache.getOrLoad(key, load);
    await admin.ping();
    // A server that is at work on one pattern for a minute answers nobody.
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    if (what !== 'tags without epochs') expect(await cache.get(key)).toBe('loaded');
  });

  it('with a note of an error that is none is reported as such', async () => {
    for (const note of ['', '{', 'null', '7', '[]', '{"name":{},"message":7,"backoffMs":"x"}']) {
      await admin.hset('{cache}~lease:noted', { error: note });
      await expect(cache.getOrLoad('noted', load)).rejects.toMatchObject({
        code: 'SLUICE_CACHE_LOADER_FAILED',
        message: "the loader of 'noted' failed: Error: unknown",
        retryAfterMs: 0,
      });
    }
  });

  it.each([{ token: 'x' }, { token: 'x', epoch: 'e' }, { owner: 'x' }, { 'w:x': 'y' }])(
    'with the lease %j is loaded and stored',
    async (lease) => {
      const key = JSON.stringify(lease);
      await admin.hset(`{cache}~lease:${key}`, lease as never);
      expect(await cache.getOrLoad(key, load)).toBe('loaded');
      expect(await cache.get(key)).toBe('loaded');
    },
  );
});

describe("a lock's record", () => {
  it.each([...ODD, '9007199254740993', '0', '00000000000000007'])(
    'with the last token %.20j gives way to tokens that rise',
    async (last) => {
      let highest = 0;
      const name = `fence ${last.slice(0, 20)} ${last.length}`;
      for (let i = 0; i < 3; i++) {
        if (i < 2) await admin.set(`{lock:${name}}:~fence`, last);
        const lock = await locks.acquire(name, { owner: i === 0 ? 'me' : (undefined as never) });
        expect(Number.isSafeInteger(lock.fencingToken)).toBe(true);
        expect(lock.fencingToken).toBeGreaterThan(highest);
        highest = lock.fencingToken;
        expect(await admin.get(`{lock:${name}}:~fence`)).toBe(String(highest));
        await admin.set(`{lock:${name}}:~fence`, last);
        expect(JSON.stringify(await locks.inspect(name))).toContain('owner');
        await lock.release();
      }
    },
  );

  it('of a waiter shows no date that is none', async () => {
    await admin.set('lock:shown', 'somebody');
    await admin.zadd('{lock:shown}:~queue', 'inf', 'a', '-inf', 'b', '1', 'c');
    await admin.hset('{lock:shown}:~waiters', { a: `${'9'.repeat(400)} 1 1 1 x`, b: 'nonsense', c: '' });
    const { waiting, waiters } = (await locks.inspect('shown')) ?? {};
    expect([waiting, waiters?.length]).toEqual([3, 3]);
    expect(() => JSON.stringify(waiters)).not.toThrow();
    expect(waiters?.every(({ since }) => !Number.isNaN(since.getTime()))).toBe(true);
    await admin.del('lock:shown', '{lock:shown}:~queue', '{lock:shown}:~waiters');
  });

  it('is not granted by a message whose token or lease is no number of ours', async () => {
    await admin.set('lock:pushed', 'somebody', 'PX', 60_000);
    const waiting = locks.acquire('pushed', { waitMs: 1_500 });
    waiting.catch(() => {});
    await until(async () => (await admin.zcard('{lock:pushed}:~queue')) === 1, { what: 'it waits', everyMs: 5 });
    const [nonce = ''] = await admin.zrange('{lock:pushed}:~queue', '0', '-1');
    const [inbox = ''] = (await admin.pubsub('CHANNELS', '*~inbox*')) as string[];
    for (const odd of ODD) {
      await admin.publish(inbox, frame('lock:granted', 'lock:pushed', nonce, nonce, odd, '5000'));
      if (odd !== '1e3')
        await admin.publish(inbox, frame('lock:granted', 'lock:pushed', nonce, nonce, '1795959999999999', odd));
    }
    await expect(waiting).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
    expect(await admin.get('lock:pushed')).toBe('somebody');
  });
});

describe('a write to a key of the user', () => {
  it('leaves a stream with its tasks where it is', async () => {
    await admin.xadd('orders', '*', 'payload', '1');
    const lock = await locks.acquire('writer');
    await expect(cache.raw.set('orders', 'X', 60_000)).rejects.toThrow('WRONGTYPE');
    await expect(locks.fenced.set('orders', 'X', lock.fencingToken)).rejects.toThrow('WRONGTYPE');
    await expect(locks.fenced.delete('orders', lock.fencingToken)).rejects.toThrow('WRONGTYPE');
    expect(await admin.xlen('orders')).toBe(1);
    await lock.release();
  });

  it('is not fenced by a token that is none', async () => {
    const { fencingToken, release } = await locks.acquire('fenced-writer').then((lock) => ({
      fencingToken: lock.fencingToken,
      release: () => lock.release(),
    }));
    for (const seen of ODD.filter((odd) => odd !== '')) {
      await admin.set('{balance}:~fenced', seen);
      await expect(locks.fenced.set('balance', 'X', fencingToken)).rejects.toThrow('does not hold a token');
    }
    expect(await admin.exists('balance')).toBe(0);
    await release();
  });

  it.each(['lock:pay', '{cache}:user:7', 'a\ud800', '{pay}:~fence'])('cannot have the key %j', async (key) => {
    const bad = expect.objectContaining({ code: 'SLUICE_BAD_NAME' });
    await expect(async () => cache.raw.get(key)).rejects.toEqual(bad);
    await expect(async () => cache.raw.set(key, 'X', 1_000)).rejects.toEqual(bad);
    await expect(async () => cache.raw.lock(key, 1_000, 1_000)).rejects.toEqual(bad);
    await expect(async () => locks.fenced.set(key, 'X', 7)).rejects.toEqual(bad);
    await expect(async () => locks.fenced.delete(key, 7)).rejects.toEqual(bad);
    await expect(async () => queue.publish(key, 1)).rejects.toEqual(bad);
    await expect(async () => queue.raw.publish(key, '1')).rejects.toEqual(bad);
    await expect(async () => queue.inspect(key, '1-1')).rejects.toEqual(bad);
  });
});
