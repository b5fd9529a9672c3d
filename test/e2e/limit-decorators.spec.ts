import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, type Type } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import {
  CacheService,
  CacheStampedeSafe,
  LockService,
  QueueService,
  RateLimit,
  RateLimitService,
  TaskHandler,
  WithLock,
  defineQueue,
  defineRateLimit,
  fromContext,
} from 'nestjs-sluice';
import { SluiceTestingModule, TestingClock, TestingQueue } from 'nestjs-sluice/testing';

/** How `@RateLimit` stands among the other decorators of this package. */
const Two = defineRateLimit('two', { limit: 2, perMs: 60_000 });
const One = defineRateLimit('one', { limit: 1, perMs: 60_000 });
const Jobs = defineQueue<string>('jobs');

type Name = 'limit' | 'lock' | 'cache' | 'task';

/** What a call reached, in order. */
let reached: string[] = [];
beforeEach(() => {
  reached = [];
});
const reach = (what: string): string => {
  reached.push(what);
  return what;
};

const onMethod: Record<Name, () => unknown> = {
  limit: () => RateLimit(Two, { by: () => reach('limit') }),
  lock: () => WithLock(() => reach('lock')),
  cache: () => CacheStampedeSafe({ key: () => reach('cache') }),
  task: () => TaskHandler(Jobs),
};
const onRoute = { ...onMethod, limit: () => RateLimit(Two, { by: fromContext(() => reach('limit')) }) };

/** A class whose method has these decorators, the outermost first. */
function classOf(decorators: readonly unknown[]): Type<{ find(): Promise<string> }> {
  class Subject {
    async find(): Promise<string> {
      return Promise.resolve(reach('body'));
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Subject.prototype, 'find') as PropertyDescriptor;
  for (const decorate of decorators.toReversed()) (decorate as MethodDecorator)(Subject.prototype, 'find', descriptor);
  Object.defineProperty(Subject.prototype, 'find', descriptor);
  return Subject;
}

let app: NestExpressApplication | undefined;
const close = async (): Promise<void> => {
  await app?.close();
  app = undefined;
};
afterEach(close);

async function boot(kind: 'controllers' | 'providers', subject: Type): Promise<NestExpressApplication> {
  (kind === 'controllers' ? Controller() : Injectable())(subject);
  const module = await Test.createTestingModule({
    imports: [SluiceTestingModule.forRoot()],
    [kind]: [subject],
  }).compile();
  app = module.createNestApplication<NestExpressApplication>({ logger: false });
  return app.init();
}

const orders: Name[][] = [
  ['limit', 'cache', 'lock'],
  ['limit', 'lock', 'cache'],
  ['cache', 'limit', 'lock'],
  ['lock', 'limit', 'cache'],
  ['cache', 'lock', 'limit'],
  ['lock', 'cache', 'limit'],
];

describe.each(orders)('@RateLimit among the others: %s, %s, %s', (...names) => {
  it('on a method, the outermost runs first', async () => {
    const Subject = classOf(names.map((name) => onMethod[name]()));
    await (await boot('providers', Subject)).get(Subject).find();
    expect(reached).toEqual([...names, 'body']);
  });

  it('on a handler of tasks too, wherever @TaskHandler stands', async () => {
    for (const at of [0, 1, 3]) {
      reached = [];
      const Subject = classOf(names.toSpliced(at, 0, 'task').map((name) => onMethod[name]()));
      const handling = await boot('providers', Subject);
      await handling.get(QueueService).publish(Jobs, 'job');
      expect(await handling.get(TestingQueue).drain()).toEqual({ completed: 1, dead: 0 });
      expect(reached).toEqual([...names, 'body']);
      await close();
    }
  });

  it('on a route, the limit comes first, wherever it stands', async () => {
    const Subject = classOf([Get('find'), ...names.map((name) => onRoute[name]())]);
    const serving = await boot('controllers', Subject);
    await serving.listen(0, '127.0.0.1');
    const url = `${await serving.getUrl()}/find`;
    expect((await fetch(url)).status).toBe(200);
    const others = names.filter((name) => name !== 'limit');
    expect(reached).toEqual(['limit', ...others, 'body']);
    expect([(await fetch(url)).status, (await fetch(url)).status]).toEqual([200, 429]);
  });
});

describe('a call that @RateLimit refuses', () => {
  const calls = async (Subject: Type<{ find(): Promise<string> }>, times: number): Promise<unknown[]> => {
    const subject = (await boot('providers', Subject)).get(Subject);
    const answers: unknown[] = [];
    for (let i = 0; i < times; i++)
      answers.push(await subject.find().catch((error: unknown) => (error as { code: string }).code));
    return answers;
  };
  const NO = 'SLUICE_RATE_LIMITED';

  it('above @WithLock takes no lock', async () => {
    expect(await calls(classOf([onMethod.limit(), onMethod.lock()]), 3)).toEqual(['body', 'body', NO]);
    expect(reached.filter((what) => what === 'lock')).toHaveLength(2);
  });

  it('below @WithLock has the lock meanwhile, and leaves it free', async () => {
    expect(await calls(classOf([onMethod.lock(), onMethod.limit()]), 3)).toEqual(['body', 'body', NO]);
    expect(reached.filter((what) => what === 'lock')).toHaveLength(3);
    const lock = await app!.get(LockService).tryAcquire('lock');
    expect(lock).not.toBeNull();
    await lock?.release();
  });

  it('above @CacheStampedeSafe is refused although the value is there, since cached answers count', async () => {
    expect(await calls(classOf([onMethod.limit(), onMethod.cache()]), 3)).toEqual(['body', 'body', NO]);
    expect(reached.filter((what) => what === 'body')).toHaveLength(1);
  });

  it('below @CacheStampedeSafe is a load that failed: values that are there do not count', async () => {
    const Subject = classOf([onMethod.cache(), onMethod.limit()]);
    expect(await calls(Subject, 5)).toEqual(Array(5).fill('body'));
    expect((await app!.get(RateLimitService).peek(Two, 'limit')).remaining).toBe(1);
    const [limits, cache] = [app!.get(RateLimitService), app!.get(CacheService)];
    await limits.block(Two, 'limit', 3_600_000);
    await cache.delete('cache');
    await expect(app!.get(Subject).find()).rejects.toMatchObject({ code: NO });
    await limits.reset(Two, 'limit');
    // Until then, nobody tries again.
    await app!.get(TestingClock).advance(1_001);
    expect(await app!.get(Subject).find()).toBe('body');
  });
});

describe('two @RateLimit on one method', () => {
  const outcomes = async (decorators: readonly unknown[]): Promise<number> => {
    const Subject = classOf(decorators);
    const subject = (await boot('providers', Subject)).get(Subject);
    await subject.find();
    await expect(subject.find()).rejects.toMatchObject({ code: 'SLUICE_RATE_LIMITED', rateLimit: 'one' });
    return (await app!.get(RateLimitService).peek(Two, 'all')).remaining;
  };

  it('next to each other are charged together or not at all', async () => {
    expect(await outcomes([RateLimit(Two), RateLimit(One)])).toBe(1);
  });

  it('with another decorator between them are charged one after the other', async () => {
    expect(await outcomes([RateLimit(Two), WithLock('lock'), RateLimit(One)])).toBe(0);
  });
});
