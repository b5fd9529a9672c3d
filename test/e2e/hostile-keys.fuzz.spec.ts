import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import {
  CacheService,
  LockService,
  QueueService,
  SluiceModule,
  TaskHandler,
  isSluiceError,
  type Task,
} from 'nestjs-sluice';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { frame } from '../../libs/redis/index.js';
import { until } from '../support/until.js';

/**
 * Random bytes, and keys of the wrong type, at every key of every feature and in every inbox. The process goes on, calls fail
 * with a Sluice error at most, and when the key is gone, everything works again and no good task is lost.
 */
const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));

let redis: RedisServer;
let admin: Redis;
let app: TestingModule;
let cache: CacheService;
let locks: LockService;
let queue: QueueService;
const SILENT = { log: () => {}, error: () => {}, warn: () => {} };
const unhandled: unknown[] = [];
const noteUnhandled = (reason: unknown): void => void unhandled.push(reason);

type Plant = (key: string) => Promise<unknown>;
const TYPES: Readonly<Record<string, Plant>> = {
  string: (key) => admin.set(key, 'x'),
  list: (key) => admin.rpush(key, 'x', 'y'),
  set: (key) => admin.sadd(key, 'x'),
  hash: (key) => admin.hset(key, 'x', 'y'),
  zset: (key) => admin.zadd(key, '1', 'x'),
  stream: (key) => admin.xadd(key, '*', 'x', 'y'),
};

/** Every side key of a queue, and its type. */
const QUEUE_KEYS = {
  '~delayed': 'zset',
  '~bodies': 'hash',
  '~index': 'zset',
  '~dead': 'stream',
  '~dead-index': 'zset',
  '~alive': 'zset',
  '~cancelled': 'zset',
  '~paused': 'string',
  '~uses': 'hash',
  '~retry:sluice': 'stream',
  '~delayed:sluice': 'zset',
  '~bodies:sluice': 'hash',
  '~index:sluice': 'zset',
  '~schedules': 'hash',
  '~schedule-states': 'hash',
  '~schedule-due': 'zset',
};
/** Every key of a lock beside the lock itself, and its type. */
const LOCK_KEYS = {
  '~holder': 'string',
  '~fence': 'string',
  '~queue': 'zset',
  '~waiters': 'hash',
  '~uses': 'hash',
  '~tick:oncePerTick': 'string',
};
/** Every kind of key of the cache, and its type. */
const CACHE_KEYS = {
  ':k': 'string',
  '~lease:k': 'hash',
  '~epoch': 'string',
  '~sequence': 'string',
  '~recent': 'zset',
  '~tag:t': 'string',
  '~slots:s': 'zset',
  '~queue:s': 'zset',
};

const wrongTypes = (right: string): string[] => Object.keys(TYPES).filter((type) => type !== right);
const queueCases = Object.entries(QUEUE_KEYS).flatMap(([key, right], k) =>
  wrongTypes(right).map((type, t) => ({ name: `q${k}-${t}`, key, type })),
);

const handled = new Map<string, string[]>();

@Injectable()
class Handlers {
  readonly some = 'state';
}
for (const { name } of [...queueCases, { name: 'noise' }]) {
  const run = async (task: Task): Promise<void> => {
    const ran = handled.get(name) ?? [];
    handled.set(name, [...ran, String(task.payload)]);
    if (task.payload === 'fails once' && task.attempt === 1) throw new Error('as asked');
    return Promise.resolve();
  };
  const descriptor = { value: run, configurable: true, writable: true };
  TaskHandler(name)(Handlers.prototype, name as never, descriptor);
  Object.defineProperty(Handlers.prototype, name, descriptor);
}

beforeAll(async () => {
  process.on('unhandledRejection', noteUnhandled);
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  const module = SluiceModule.forRoot({
    redis: { url: redis.url },
    queue: { leaseMs: 2_000, backoff: 0 },
    cache: { errorBackoffMs: 0 },
  });
  app = await (
    await Test.createTestingModule({ imports: [module], providers: [Handlers] })
      .setLogger(SILENT)
      .compile()
  ).init();
  [cache, locks, queue] = [app.get(CacheService), app.get(LockService), app.get(QueueService)];
});
afterAll(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
  process.off('unhandledRejection', noteUnhandled);
});
afterEach(() => {
  expect(unhandled).toEqual([]);
});

/** The value, or undefined if the call failed with an error of Sluice. Any other error is one of this test. */
async function tried<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    return undefined;
  }
}

async function isSettled(name: string): Promise<boolean> {
  const { waiting, running, delayed } = await queue.counts(name);
  return waiting + running + delayed === 0;
}

describe('a key of the wrong type', () => {
  it('beside a queue loses no task that was published: all run once the key is gone', async () => {
    const promised = await Promise.all(
      queueCases.map(async ({ name, key, type }) => {
        const side = `{${name}}:${key}`;
        const planted = async (): Promise<boolean> => {
          // The lease of this process may be there already, or again.
          await admin.del(side);
          await TYPES[type]?.(side).catch(() => {});
          return (await admin.type(side)) === type;
        };
        await until(planted, { what: `a ${type} is at ${key}` });
        const published: string[] = [];
        for (const payload of ['plain', 'fails once']) {
          if ((await tried(queue.publish(name, payload))) !== undefined) published.push(payload);
        }
        if ((await tried(queue.publish(name, 'later', { delayMs: 50 }))) !== undefined) published.push('later');
        for (const call of [queue.counts(name), queue.list(name), queue.workers(name), queue.dead(name).list()])
          await tried<unknown>(call);
        return published;
      }),
    );
    // Plain tasks are plain entries: no side key keeps them from being taken.
    expect(promised.every((published) => published.includes('plain'))).toBe(true);
    await Promise.all(queueCases.map(({ name, key }) => admin.del(`{${name}}:${key}`)));
    for (const [i, { name, key, type }] of queueCases.entries()) {
      const missing = (): string[] => (promised[i] ?? []).filter((each) => !(handled.get(name) ?? []).includes(each));
      await until(() => missing().length === 0, { what: `all run after a ${type} at ${key}` });
      await until(() => isSettled(name), { what: `all is settled after a ${type} at ${key}` });
      expect((await queue.counts(name)).dead).toBe(0);
    }
  });

  it.each(Object.entries(LOCK_KEYS).flatMap(([key, right]) => wrongTypes(right).map((type) => ({ key, type }))))(
    'beside a lock ($type at $key) is an error at most, and the lock works once the key is gone',
    async ({ key, type }) => {
      const name = `${key.slice(1)} ${type}`;
      const side = `{lock:${name}}:${key}`;
      await TYPES[type]?.(side);
      for (const owner of [undefined, 'me']) {
        const lock = await tried(locks.acquire(name, { waitMs: 50, ...(owner !== undefined && { owner }) }));
        // A second call waits, and the release hands the lock over or fails.
        const second = tried(locks.acquire(name, { waitMs: 100 }));
        await tried(locks.inspect(name));
        if (lock) await tried(lock.release());
        const next = await second;
        if (next) await tried(next.release());
      }
      await tried(locks.oncePerTick(name, Date.now(), () => 'ran'));
      await tried(locks.forceRelease(name));
      await admin.del(side, `lock:${name}`);
      const lock = await locks.acquire(name, { waitMs: 5_000 });
      expect(lock.fencingToken).toBeGreaterThan(0);
      const waiting = locks.acquire(name, { waitMs: 30_000 });
      await lock.release();
      await (await waiting).release();
    },
  );

  it.each(Object.entries(CACHE_KEYS).flatMap(([key, right]) => wrongTypes(right).map((type) => ({ key, type }))))(
    'of the cache ($type at $key) is an error at most, and the cache works once the key is gone',
    async ({ key, type }) => {
      const side = `{cache}${key}`;
      await admin.del(side);
      await TYPES[type]?.(side);
      const load = (): string => 'loaded';
      const options = { tags: ['t'], source: 's', maxConcurrentLoads: 1 };
      for (let i = 0; i < 2; i++) {
        const got = await tried(cache.getOrLoad('k', load, options));
        expect([undefined, 'loaded']).toContain(got);
        await tried(cache.set('k', 'loaded', { tags: ['t'] }));
        await tried(cache.get('k'));
        await tried(cache.invalidateTags('t'));
        await tried(cache.delete('k'));
      }
      await tried(cache.clear());
      await admin.del(side);
      expect(await cache.getOrLoad('k', load, { tags: ['t'] })).toBe('loaded');
      await cache.invalidateTags('t');
      expect(await cache.get('k')).toBeUndefined();
    },
  );
});

/** Pieces of real records, and whatever bytes. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each)),
  fc.string({ unit: 'binary', maxLength: 40 }).map((each) => Buffer.from(each)),
  fc.json().map((each) => Buffer.from(each)),
  fc
    .constantFrom('', '0', '-1', 'nan', '1e309', '9'.repeat(400), '1 2 3 4 x', '^1 e 1 1\n', '{"id":7}')
    .map(Buffer.from),
  fc.constant(Buffer.alloc(300_000, 0xff)),
);
const sample = <T>(arbitrary: fc.Arbitrary<T>, numRuns: number): T[] => fc.sample(arbitrary, { seed, numRuns });

describe(`random bytes (FUZZ_SEED=${seed})`, () => {
  it('as entries of a stream are dead letters or run, and the good tasks among them run', async () => {
    const field = fc.oneof(fc.constantFrom('payload', 'timestamp', 'retry_count', 'meta').map(Buffer.from), bytes);
    const entries = sample(fc.array(fc.tuple(field, bytes), { minLength: 1, maxLength: 6 }), 60);
    const good = entries.map((_, i) => `good ${i}`);
    for (const [i, fields] of entries.entries()) {
      // The last numbers of ids, as other software may give them.
      await admin.call('XADD', 'noise', i % 3 === 0 ? '*' : `${Date.now() + 10}-*`, ...fields.flat());
      await queue.publish('noise', good[i]);
    }
    const missing = (): string[] => good.filter((each) => !(handled.get('noise') ?? []).includes(each));
    await until(() => missing().length === 0, { what: 'the good ones run' });
    await until(() => isSettled('noise'), { what: 'all is settled' });
    const { dead } = await queue.counts('noise');
    expect((handled.get('noise') ?? []).length + dead).toBeGreaterThanOrEqual(2 * entries.length);
    for (const { id } of (await queue.dead('noise').list({ limit: 1_000 })).tasks) expect(id).not.toBe('');
    await queue.dead('noise').purge();
  });

  it('as delayed bodies, indexes and dead letters harm no task', async () => {
    const some = sample(fc.tuple(bytes, bytes), 60);
    for (const [i, [name, value]] of some.entries()) {
      await admin.hset('{noise}:~bodies', name, value);
      await admin.zadd('{noise}:~delayed', String(i % 2 === 0 ? 1 : Date.now() + 100), name);
      await admin.zadd('{noise}:~index', String(i), value);
      await admin.zadd('{noise}:~alive', String(Date.now() + (i % 2) * 10_000), name);
      await admin.xadd('{noise}:~dead', '*', name, value, 'payload', value);
    }
    await queue.publish('noise', 'in between', { delayMs: 20 });
    await until(() => (handled.get('noise') ?? []).includes('in between'), { what: 'the good one runs' });
    await until(async () => (await queue.counts('noise')).delayed === 0, { what: 'the others are dead letters' });
    const { tasks } = await queue.dead('noise').list({ limit: 1_000 });
    expect(tasks.length).toBeGreaterThan(60);
    expect(() => JSON.stringify(tasks)).not.toThrow();
    await tried(queue.dead('noise').redrive({ toGroup: 'sluice' }));
    await queue.publish('noise', 'at last');
    await until(() => (handled.get('noise') ?? []).includes('at last'), { what: 'the last one runs' });
    await queue.dead('noise').purge();
  });

  it('as values of a lock and of its side keys leave a lock that can be taken', async () => {
    for (const [i, [value, record, waiter]] of sample(fc.tuple(bytes, bytes, bytes), 12).entries()) {
      const name = `noise ${i}`;
      const key = (suffix: string): string => `{lock:${name}}:~${suffix}`;
      await admin.set(`lock:${name}`, value, 'PX', 300);
      await admin.set(key('holder'), record);
      await admin.set(key('fence'), record);
      await admin.set(key('tick:oncePerTick'), waiter);
      await admin.zadd(key('queue'), '1', value, 'inf', waiter);
      await admin.hset(key('waiters'), value, waiter, waiter, record);
      await tried(locks.inspect(name));
      await tried(locks.forceRelease(name));
      const first = await locks.acquire(name, { waitMs: 30_000 });
      const waiting = locks.acquire(name, { waitMs: 30_000 });
      await first.release();
      const second = await waiting;
      expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
      await second.release();
    }
  });

  it('as values, leases and epochs of the cache are a miss, and are loaded anew', async () => {
    for (const [i, [value, field]] of sample(fc.tuple(bytes, bytes), 30).entries()) {
      const key = `noise ${i}`;
      await admin.set(`{cache}:${key}`, value);
      await admin.hset(`{cache}~lease:${key}`, field, value, i % 2 === 0 ? 'token' : 'w:x', field);
      await admin.pexpire(`{cache}~lease:${key}`, 200);
      if (i % 10 === 0) await admin.set('{cache}~epoch', field);
      if (i % 10 === 5) await admin.zadd('{cache}~recent', '1', value);
      const got = await tried(cache.getOrLoad<unknown>(key, () => 'loaded', { tags: ['t'] }));
      await tried(cache.delete(key));
      await admin.del(`{cache}~lease:${key}`, '{cache}~recent');
      expect(await cache.getOrLoad<unknown>(key, () => 'loaded')).toBe('loaded');
      expect(got === undefined || got === 'loaded').toBe(true);
    }
    await admin.del('{cache}~epoch');
    expect(await cache.getOrLoad('after', () => 'loaded')).toBe('loaded');
  });

  it('as messages, framed or not, of kinds that are known or not, change nothing', async () => {
    const kinds = [
      ...['lock:granted', 'lock:forced', 'cache:news', 'cache:invalidated', 'queue:paused', 'queue:due'],
      ...['queue:released', 'queue:pause-confirmed', 'future:thing', ''],
    ];
    const messages = sample(
      fc.oneof(
        bytes,
        fc
          .tuple(fc.constantFrom(...kinds), fc.array(bytes, { maxLength: 6 }))
          .map(([kind, parts]) => frame(kind, ...parts.map(String))),
      ),
      120,
    );
    const held = await locks.acquire('during');
    const channels = (await admin.pubsub('CHANNELS', '*')) as string[];
    expect(channels.length).toBeGreaterThan(0);
    for (const message of messages) for (const channel of channels) await admin.publish(channel, message);
    expect(held.held).toBe(true);
    await held.release();
    await queue.publish('noise', 'after messages');
    await until(() => (handled.get('noise') ?? []).includes('after messages'), { what: 'a task runs' });
    expect(await cache.getOrLoad('after messages', () => 'loaded')).toBe('loaded');
  });
});
