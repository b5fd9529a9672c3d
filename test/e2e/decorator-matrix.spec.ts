import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  CacheEvict,
  CachePut,
  CacheService,
  CacheStampedeSafe,
  LockService,
  SluiceModule,
  WithLock,
} from 'nestjs-sluice';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { describeDecoratorMatrix } from '../support/decorator-matrix.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** Each app has a namespace, and so locks and values, of its own. */
let apps = 0;
const sluice = () => [SluiceModule.forRoot({ namespace: `app${++apps}`, redis: { url: redis.url } })];

/** Counts the calls of one method of a service, per service. */
function counted<S extends object>(prototype: S, method: keyof S): (service: S) => number {
  const counts = new WeakMap<object, number>();
  const original = prototype[method] as (...args: unknown[]) => unknown;
  Object.defineProperty(prototype, method, {
    value(this: object, ...args: unknown[]) {
      counts.set(this, (counts.get(this) ?? 0) + 1);
      return original.apply(this, args);
    },
  });
  return (service) => counts.get(service) ?? 0;
}

const ranUnderLock = counted(LockService.prototype, 'run');
describeDecoratorMatrix({
  name: '@WithLock',
  // The scheduler calls without a word.
  decorate: (key) => WithLock((word?: string) => `${key}:${word ?? 'none'}`),
  imports: sluice,
  callsTaken: (app) => ranUnderLock(app.get(LockService)),
});

const askedCache = counted(CacheService.prototype, 'load');
describeDecoratorMatrix({
  name: '@CacheStampedeSafe',
  decorate: (key) => CacheStampedeSafe({ key: (word: string) => `${key}:${word}` }),
  imports: sluice,
  callsTaken: (app) => askedCache(app.get(CacheService)),
});

const evicted = counted(CacheService.prototype, 'delete');
describeDecoratorMatrix({
  name: '@CacheEvict',
  decorate: (key) => CacheEvict({ key: (word: string) => `${key}:${word}`, before: true }),
  imports: sluice,
  callsTaken: (app) => evicted(app.get(CacheService)),
});

const optionsTaken = counted(CacheService.prototype, 'methodOptions');
describeDecoratorMatrix({
  name: '@CachePut',
  decorate: (key) => CachePut({ key: (word: string) => `${key}:${word}` }),
  imports: sluice,
  callsTaken: (app) => optionsTaken(app.get(CacheService)),
});

describe.each([
  ['@WithLock', WithLock('job')],
  ['@CacheEvict', CacheEvict({ key: () => 'job' })],
  ['@CachePut', CachePut({ key: () => 'job' })],
  ['@CacheStampedeSafe', CacheStampedeSafe({ key: () => 'job' })],
])('%s', (name, decorate) => {
  const thrown = new Error('by the method');
  @Injectable()
  class Job {
    @decorate
    async run(): Promise<void> {
      return Promise.reject(thrown);
    }
  }

  it("passes the method's own error, ===", async () => {
    const app = await Test.createTestingModule({ imports: sluice(), providers: [Job] }).compile();
    await app.init();
    try {
      await expect(app.get(Job).run()).rejects.toBe(thrown);
    } finally {
      await app.close();
    }
  });

  it('never runs without its service', async () => {
    await expect(new Job().run()).rejects.toMatchObject({
      code: 'SLUICE_NOT_BOUND',
      message: expect.stringContaining(`Job.run (${name}) did not run`),
    });
    const app = await Test.createTestingModule({ providers: [Job] })
      .useMocker(() => new Proxy({}, { get: (_, key) => (key === 'then' ? undefined : () => 'mocked') }))
      .compile();
    await expect(app.get(Job).run()).rejects.toMatchObject({ code: 'SLUICE_NOT_BOUND' });
  });
});
