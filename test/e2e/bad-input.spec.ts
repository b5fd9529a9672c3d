import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import {
  CacheService,
  CacheStampedeSafe,
  LockService,
  QueueService,
  SluiceModule,
  TaskHandler,
  WithLock,
  defineQueue,
  type SluiceOptions,
  type SluiceStaticOptions,
  type Task,
} from 'nestjs-sluice';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { until } from '../support/until.js';

let redis: RedisServer;
let admin: Redis;
let app: TestingModule;
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
  admin = new Redis(redis.url);
  app = await boot({}, Handlers);
});
afterAll(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
});

async function boot(
  options: SluiceOptions & SluiceStaticOptions,
  ...providers: (new () => object)[]
): Promise<TestingModule> {
  const module = SluiceModule.forRoot({ redis: { url: redis.url }, ...options });
  const booted = await Test.createTestingModule({ imports: [module], providers }).compile();
  try {
    return await booted.init();
  } catch (error) {
    await booted.close();
    throw error;
  }
}

const locks = () => app.get(LockService);
const cache = () => app.get(CacheService);
const queue = () => app.get(QueueService);
const nothing = () => undefined;
const cyclic: { self?: unknown } = {};
cyclic.self = cyclic;

/** What is done wrong, how the code says so, and a word of the message. */
type BadCase = [wrong: string, run: () => unknown, code: string, says: string];

const badNames: [unknown, string][] = [
  ['', 'non-empty'],
  [undefined, 'undefined'],
  [null, 'null'],
  [7, '7'],
  ['a{b', 'hash tag'],
  ['{}', 'hash tag'],
  ['{a}{b}', 'hash tag'],
  ['a:~b', 'reserved'],
];
const badTtls: unknown[] = [0, -1, NaN, -Infinity, '30s', null];
/** Nothing but a value in the cache may last so long. */
const tooLong: unknown[] = [Infinity, 2 ** 31];

const calls: BadCase[] = [
  ...badNames.flatMap(([name, says]): BadCase[] => [
    [`lock name ${String(name)}`, () => locks().acquire(name as string), 'SLUICE_BAD_NAME', says],
    [`lock name ${String(name)}, tried`, () => locks().tryAcquire(name as string), 'SLUICE_BAD_NAME', says],
    [`lock name ${String(name)}, with`, () => locks().withLock(name as string, nothing), 'SLUICE_BAD_NAME', says],
    [`stream ${String(name)}`, () => queue().publish(name as string, {}), 'SLUICE_BAD_NAME', says],
    [`stream ${String(name)}, many`, () => queue().publishMany(name as string, [1]), 'SLUICE_BAD_NAME', says],
    [`defineQueue ${String(name)}`, () => defineQueue(name as string), 'SLUICE_BAD_NAME', says],
  ]),
  ...['', undefined, null, 7].flatMap((key): BadCase[] => [
    [`cache key ${String(key)}`, () => cache().getOrLoad(key as string, () => 1), 'SLUICE_BAD_NAME', 'cache key'],
    [`cache key ${String(key)}, get`, () => cache().get(key as string), 'SLUICE_BAD_NAME', 'cache key'],
    [`cache key ${String(key)}, set`, () => cache().set(key as string, 1), 'SLUICE_BAD_NAME', 'cache key'],
    [`cache key ${String(key)}, delete`, () => cache().delete(key as string), 'SLUICE_BAD_NAME', 'cache key'],
  ]),
  ...[...badTtls, ...tooLong].flatMap((ttlMs): BadCase[] => {
    const options = { ttlMs: ttlMs as number };
    return [
      [`lock ttl ${String(ttlMs)}`, () => locks().acquire('a', options), 'SLUICE_BAD_OPTION', 'ttlMs'],
      [`@WithLock ttl ${String(ttlMs)}`, () => WithLock('a', options), 'SLUICE_BAD_OPTION', 'ttlMs'],
    ];
  }),
  ...badTtls.flatMap((ttlMs): BadCase[] => {
    const options = { ttlMs: ttlMs as number };
    return [
      [`cache ttl ${String(ttlMs)}`, () => cache().set('a', 1, options), 'SLUICE_BAD_OPTION', 'ttlMs'],
      [`load ttl ${String(ttlMs)}`, () => cache().getOrLoad('a', () => 1, options), 'SLUICE_BAD_OPTION', 'ttlMs'],
      [`@CacheStampedeSafe ttl ${String(ttlMs)}`, () => CacheStampedeSafe(options), 'SLUICE_BAD_OPTION', 'ttlMs'],
    ];
  }),
  ['a wait below 0', () => locks().acquire('a', { waitMs: -1 }), 'SLUICE_BAD_OPTION', 'waitMs'],
  ['a misspelt option', () => locks().acquire('a', { ttl: 5 } as never), 'SLUICE_BAD_OPTION', 'ttlMs'],
  ['an extension by nothing', extendBy(0), 'SLUICE_BAD_OPTION', 'extend'],
  ['@WithLock without a name', () => WithLock(''), 'SLUICE_BAD_NAME', 'lock name'],
  ['@TaskHandler without a name', () => TaskHandler(''), 'SLUICE_BAD_NAME', 'queue'],
  ['a payload of bigint', () => queue().publish('tasks', { a: [1n] }), 'SLUICE_QUEUE_UNSERIALIZABLE', 'a[0]'],
  ['a cyclic payload', () => queue().publish('tasks', cyclic), 'SLUICE_QUEUE_UNSERIALIZABLE', 'self'],
  ['no payload', () => queue().publish('tasks', undefined), 'SLUICE_QUEUE_UNSERIALIZABLE', 'payload'],
  ['a payload with NaN', () => queue().publish('tasks', { n: NaN }), 'SLUICE_QUEUE_UNSERIALIZABLE', 'n'],
  ['a payload with a Map', () => queue().publish('tasks', { m: new Map() }), 'SLUICE_QUEUE_UNSERIALIZABLE', 'm'],
  [
    'one bad payload of many',
    () => queue().publishMany('tasks', [{}, { f: nothing }]),
    'SLUICE_QUEUE_UNSERIALIZABLE',
    '[1].f',
  ],
  ['a function to cache', () => cache().set('a', { f: nothing }), 'SLUICE_CACHE_UNSERIALIZABLE', 'f'],
  ['a function loaded', () => cache().getOrLoad('b', () => nothing), 'SLUICE_CACHE_UNSERIALIZABLE', 'function'],
];

function extendBy(ttlMs: number): () => Promise<void> {
  return async () => {
    await using lock = await locks().acquire('extended');
    await lock.extend(ttlMs);
  };
}

class First {
  @TaskHandler('twice')
  one(): Promise<void> {
    return Promise.resolve();
  }
}
class Second {
  @TaskHandler('twice')
  two(): Promise<void> {
    return Promise.resolve();
  }
}
class Keyless {
  @CacheStampedeSafe()
  async load(): Promise<number> {
    return Promise.resolve(1);
  }
}

const boots: [...BadCase][] = [
  ['an unknown connection', () => boot({ lock: { connection: 'x' } }), 'SLUICE_UNKNOWN_CONNECTION', "'x'"],
  [
    'a client with keyPrefix',
    async () => {
      const client = new Redis(redis.url, { keyPrefix: 'p:' });
      return boot({ redis: { client } }).finally(() => {
        client.disconnect();
      });
    },
    'SLUICE_KEY_PREFIX',
    'namespace',
  ],
  [
    'no Redis',
    () => boot({ redis: { url: 'redis://127.0.0.1:1', bootTimeoutMs: 100 } }),
    'SLUICE_REDIS_UNREACHABLE',
    'ECONNREFUSED',
  ],
  ['a cluster', () => boot({ redis: { cluster: [] } }), 'SLUICE_CLUSTER_UNSUPPORTED', 'Cluster'],
  ['two handlers for one queue', () => boot({}, First, Second), 'SLUICE_DUPLICATE_HANDLER', 'First.one and Second.two'],
  ['no namespace and no cache key', () => boot({}, Keyless), 'SLUICE_CACHE_KEY_REQUIRED', 'namespace'],
  [
    'a lock ttl of a name',
    () => boot({ lock: { names: { a: { ttlMs: 0 } } } }),
    'SLUICE_BAD_OPTION',
    'lock.names.a.ttlMs',
  ],
  ['a cache ttl', () => boot({ cache: { ttlMs: NaN } }), 'SLUICE_BAD_OPTION', 'cache.ttlMs'],
  [
    'a concurrency of 0',
    () => boot({ queue: { handlers: { tasks: { concurrency: 0 } } } }),
    'SLUICE_BAD_OPTION',
    'queue.handlers.tasks.concurrency',
  ],
  ['an option that does not exist', () => boot({ cache: { ttl: 5 } as never }), 'SLUICE_BAD_OPTION', 'cache.ttl'],
];

describe('bad input', () => {
  it.each([...calls, ...boots])('%s', async (_, run, code, says) => {
    const rejected = (async () => run())();
    await expect(rejected).rejects.toMatchObject({ code, message: expect.stringContaining(says) });
  });

  it('leaves nothing behind, and everything working', async () => {
    // Side keys (a fence, a loader's back-off, the worker's lease) expire or belong to the queue that is served.
    expect((await admin.keys('*')).filter((key) => !key.includes('~'))).toEqual(['tasks']);
    expect(await admin.xlen('tasks')).toBe(0);
    await locks().withLock('a', nothing);
    await cache().set('a', 1);
  });

  it('dead-letters entries that cannot be tasks; their neighbours run', async () => {
    await admin.xadd('tasks', '*', 'nothing', 'here');
    await admin.xadd('tasks', '*', 'payload', '{broken');
    await queue().publish('tasks', { good: 1 });
    await admin.xadd('tasks', '*', 'payload', '{"raw":2}', 'timestamp', '1760000000', 'retry_count', '0');
    await until(async () => (await admin.xlen('{tasks}:~dead')) === 2, { what: 'two are dead letters' });
    await until(() => handled.length === 2, { what: 'the neighbours ran' });
    expect(handled).toEqual([{ good: 1 }, { raw: 2 }]);
    await until(async () => (await admin.xlen('tasks')) === 0, { what: 'the stream is empty' });
  });
});
