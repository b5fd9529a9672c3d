import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  CacheEvict,
  CacheService,
  CacheStampedeSafe,
  DeadLetterTask,
  LockService,
  QueueService,
  SluiceModule,
  TaskHandler,
  WithLock,
  defineQueue,
  isSluiceError,
  type Task,
} from 'nestjs-sluice';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { until } from '../support/until.js';

/** Foreign text in messages is cut at 200 characters; twice, with what is said around it. */
const MESSAGE_MAX = 900;

@Injectable()
class Handlers {
  @TaskHandler('reasons', { maxAttempts: 1 })
  async run(task: Task<{ how: string }>): Promise<void> {
    await Promise.resolve();
    const long = 'r'.repeat(5_000_000);
    if (task.payload.how === 'deadLetter') task.deadLetter(long);
    if (task.payload.how === 'DeadLetterTask') throw new DeadLetterTask(long);
    if (task.payload.how === 'error') throw new Error(long);
    const large: unknown = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, i) => [`key${i}`, long.slice(0, 100)]),
    );
    throw large as Error;
  }

  @CacheStampedeSafe({ ttlMs: 1_000 })
  async byArguments(argument: unknown): Promise<string> {
    return Promise.resolve(typeof argument);
  }
}

let redis: RedisServer;
let app: TestingModule;
let locks: LockService;
let cache: CacheService;
let queue: QueueService;
beforeAll(async () => {
  redis = await startRedis();
  app = await Test.createTestingModule({
    imports: [
      SluiceModule.forRoot({ namespace: 'limits', redis: { url: redis.url }, queue: { maxPayloadBytes: 1_000 } }),
    ],
    providers: [Handlers],
  }).compile();
  app.useLogger(false);
  await app.init();
  [locks, cache, queue] = [app.get(LockService), app.get(CacheService), app.get(QueueService)];
});
afterAll(async () => {
  await app.close();
  await redis.stop();
});

/** What a call is refused with, by a rejection or at once. Undefined if it is not. */
async function refusal(
  call: (text: string) => unknown,
  text: string,
): Promise<{ code?: string; message: string } | undefined> {
  try {
    await call(text);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

let keysMade = 0;
/** A key that nothing is cached under: options are looked at where they are used. */
const fresh = (): string => `fresh:${keysMade++}`;
const nothing = (): Promise<void> => Promise.resolve();
const once = { waitMs: 0, ttlMs: 1_000, renew: false } as const;
const options = { ttlMs: 1_000 };

/** Every entry point that takes a name. */
const names: [entry: string, call: (name: string) => unknown][] = [
  ['locks.acquire', async (name) => (await locks.acquire(name, once)).release()],
  ['locks.acquire, owner', async (owner) => (await locks.acquire(`o${owner.length}`, { ...once, owner })).release()],
  ['locks.tryAcquire', async (name) => (await locks.tryAcquire(name, { ttlMs: 1_000 }))?.release()],
  ['locks.withLock', (name) => locks.withLock(name, once, nothing)],
  ['locks.oncePerTick', (name) => locks.oncePerTick(name, Date.now(), nothing)],
  ['locks.inspect', (name) => locks.inspect(name)],
  ['locks.forceRelease', (name) => locks.forceRelease(name)],
  ['locks.raw.acquire', (name) => locks.raw.acquire(name, 'me', 1_000)],
  ['locks.raw.acquire, owner', (owner) => locks.raw.acquire(`r${owner.length}`, owner, 1_000)],
  ['locks.raw.release', (name) => locks.raw.release(name, 'me')],
  ['locks.raw.extend', (name) => locks.raw.extend(name, 'me', 1_000)],
  [
    'locks.fenced.set',
    (key) => locks.withLock('fenced', once, (lock) => locks.fenced.set(key, 'v', lock.fencingToken)),
  ],
  [
    'locks.fenced.delete',
    (key) => locks.withLock('fenced', once, (lock) => locks.fenced.delete(key, lock.fencingToken)),
  ],
  ['@WithLock', (name) => WithLock(name)],
  ['defineQueue', (name) => defineQueue(name)],
  ['@TaskHandler', (name) => TaskHandler(name)],
  ['queue.publish', (name) => queue.publish(name, 1)],
  ['queue.publishMany', (name) => queue.publishMany(name, [1])],
  ['queue.counts', (name) => queue.counts(name)],
  ['queue.list', (name) => queue.list(name)],
  ['queue.inspect', (name) => queue.inspect(name, '1-1')],
  ['queue.remove', (name) => queue.remove(name, '1-1')],
  ['queue.pause', (name) => queue.pause(name)],
  ['queue.resume', (name) => queue.resume(name)],
  ['queue.groups', (name) => queue.groups(name).list()],
  ['queue.workers', (name) => queue.workers(name)],
  ['queue.dead', (name) => queue.dead(name).list()],
  ['queue.raw.publish', (name) => queue.raw.publish(name, '1')],
  ['cache.invalidateTags', (tag) => cache.invalidateTags(tag)],
  ['cache.set, tags', (tag) => cache.set('k', 1, { ...options, tags: [tag] })],
  ['cache.set, version', (version) => cache.set('k', 1, { ...options, version })],
  ['cache.getOrLoad, tags', (tag) => cache.getOrLoad(fresh(), () => 1, { ...options, tags: [tag] })],
  ['cache.getOrLoad, version', (version) => cache.getOrLoad(fresh(), () => 1, { ...options, version })],
  [
    'cache.getOrLoad, source',
    (source) => cache.getOrLoad(fresh(), () => 1, { ...options, source, maxConcurrentLoads: 1 }),
  ],
  ['cache.raw.set', (key) => cache.raw.set(key, 'v', 1_000)],
  ['cache.raw.get', (key) => cache.raw.get(key)],
  ['cache.raw.lock', (key) => cache.raw.lock(key, 1_000, 1_000)],
  ['@CacheStampedeSafe, tags', (tag) => CacheStampedeSafe({ key: 'k', tags: [tag] })],
  ['@CacheStampedeSafe, version', (version) => CacheStampedeSafe({ key: 'k', version })],
  ['@CacheEvict, tags', (tag) => CacheEvict({ tags: [tag] })],
];

describe('a name', () => {
  it.each(names)('at %s has at most 1,024 bytes, and no halves of characters', async (entry, call) => {
    // A name of its own for each: a queue's key is of another kind than a plain one.
    const own = String(names.findIndex(([each]) => each === entry)).padStart(3, '0');
    expect(await refusal(call, own.padEnd(1_024, 'a'))).toBeUndefined();
    for (const name of ['b'.repeat(1_025), 'ü'.repeat(513), '😀'.repeat(100_000), 'x\ud800', 'x\udc00y', '']) {
      const refused = await refusal(call, name);
      expect([name.slice(0, 3), refused?.code]).toEqual([
        name.slice(0, 3),
        expect.stringMatching(/^SLUICE_BAD_(NAME|OPTION)$/),
      ]);
      expect(refused!.message.length).toBeLessThan(MESSAGE_MAX);
    }
  });
});

describe('a cache key', () => {
  const keys: [entry: string, call: (key: string) => Promise<unknown>][] = [
    ['set', (key) => cache.set(key, 1, options)],
    ['get', (key) => cache.get(key)],
    ['getOrLoad', (key) => cache.getOrLoad(key, () => 1, options)],
    ['getOrLoadMany', (key) => cache.getOrLoadMany([key], (all) => all.map(() => 1), options)],
    ['take', (key) => cache.take(key)],
    ['delete', (key) => cache.delete(key)],
  ];

  it.each(keys)('at %s may be of any length: what is stored has a short key', async (_entry, call) => {
    expect(await refusal((key) => call(key), 'k'.repeat(1_000_000))).toBeUndefined();
    expect(await refusal((key) => call(key), 'k\ud800')).toMatchObject({ code: 'SLUICE_BAD_NAME' });
    const client = await import('ioredis').then(({ Redis }) => new Redis(redis.url));
    const stored = await client.keys('*');
    client.disconnect();
    expect(Math.max(0, ...stored.map((key) => key.length))).toBeLessThan(1_200);
  });
});

/** Arrays in one another, so many levels deep. */
const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));

describe('depth', () => {
  const values: [entry: string, code: string, call: (value: unknown) => unknown][] = [
    ['queue.publish', 'SLUICE_QUEUE_UNSERIALIZABLE', (value) => queue.publish('q', value)],
    ['queue.publishMany', 'SLUICE_QUEUE_UNSERIALIZABLE', (value) => queue.publishMany('q', [1, value])],
    ['cache.set', 'SLUICE_CACHE_UNSERIALIZABLE', (value) => cache.set('deep', value, options)],
    [
      'cache.getOrLoad',
      'SLUICE_CACHE_UNSERIALIZABLE',
      (value) => cache.getOrLoad(`d${Math.random()}`, () => value, options),
    ],
    ['arguments of a default key', 'SLUICE_CACHE_BAD_ARGUMENTS', (value) => app.get(Handlers).byArguments(value)],
  ];

  it.each(values)('at %s is 200 levels', async (_entry, code, call) => {
    expect(await refusal(() => call(nested(200)), '')).toBeUndefined();
    for (const levels of [201, 3_000, 100_000]) {
      const refused = await refusal(() => call(nested(levels)), '');
      expect(isSluiceError(refused, code as never)).toBe(true);
      expect(refused!.message.length).toBeLessThan(MESSAGE_MAX);
    }
  });
});

describe('size', () => {
  it.each([
    ['queue.publish', (text: string) => queue.publish('q', text)],
    ['queue.publishMany', (text: string) => queue.publishMany('q', [text])],
    ['queue.publish, delayed', (text: string) => queue.publish('q', text, { delayMs: 60_000 })],
  ])('of a payload at %s is maxPayloadBytes', async (_entry, call) => {
    expect(await refusal(call, 'x'.repeat(998))).toBeUndefined(); // and two quotes
    for (const text of ['x'.repeat(999), 'x'.repeat(20_000_000), '\u0000'.repeat(200)]) {
      expect(await refusal(call, text)).toMatchObject({ code: 'SLUICE_QUEUE_PAYLOAD_TOO_LARGE' });
    }
  });

  it.each([
    ['baggage', 8_192],
    ['tracestate', 4_096],
    ['traceparent', 256],
  ])('of a trace context: %s has at most %i bytes', async (field, bytes) => {
    const call = (text: string) => queue.publish('q', 1, { trace: { traceparent: '00-0-0-00', [field]: text } });
    expect(await refusal(call, 'x'.repeat(bytes))).toBeUndefined();
    expect(await refusal(call, 'x'.repeat(bytes + 1))).toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });

  it('of the reason, error and stack of a dead letter is a few KB', async () => {
    const all = ['deadLetter', 'DeadLetterTask', 'error', 'object'];
    await queue.publishMany(
      'reasons',
      all.map((how) => ({ how })),
    );
    await until(async () => (await queue.counts('reasons')).dead === all.length, { what: 'all are dead letters' });
    const { tasks } = await queue.dead('reasons').list();
    expect(tasks).toHaveLength(all.length);
    for (const letter of tasks) {
      expect(Buffer.byteLength(letter.reason)).toBeLessThanOrEqual(1_024);
      expect(Buffer.byteLength(JSON.stringify(letter))).toBeLessThan(8_000);
    }
  });

  it('of messages: a name or an error that somebody else chose is cut', async () => {
    const name = 'n'.repeat(1_024);
    const held = await locks.acquire(name, { owner: 'w'.repeat(1_024), ttlMs: 60_000 });
    const busy = await refusal(() => locks.acquire(name, { waitMs: 0 }), '');
    expect(busy).toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
    expect(busy!.message.length).toBeLessThan(MESSAGE_MAX);
    await held.release();

    const fail = (): never => {
      throw new Error('m'.repeat(1_000_000));
    };
    await refusal(() => cache.getOrLoad('failing', fail, { errorBackoffMs: 60_000 }), '');
    const other = await Test.createTestingModule({
      imports: [SluiceModule.forRoot({ namespace: 'limits', redis: { url: redis.url } })],
    }).compile();
    await other.init();
    const noted = await refusal(() => other.get(CacheService).getOrLoad('failing', fail), '');
    expect(noted).toMatchObject({ code: 'SLUICE_CACHE_LOADER_FAILED' });
    expect(noted!.message.length).toBeLessThan(2_000);
    await other.close();
  });
});
