/** What clients see of `ThrottlerGuard` with each storage. */
import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { peer } from '../peer.js';
import type { ThrottlerStorage } from '../peers/limiters.js';
import type { Column } from './contenders.js';
import { notOffered, seenAs, type Fault } from './fault.js';

interface Throttler {
  ThrottlerModule: { forRoot(options: object): never };
  ThrottlerGuard: new () => never;
}

interface Answer {
  status: number;
  header: (name: string) => string | null;
}

/** An app with one route, behind the guard. Answers are those of one client. */
async function withGuard<T>(
  column: Column,
  url: string,
  throttlers: object[],
  use: (request: () => Promise<Answer>) => Promise<T>,
): Promise<T | undefined> {
  if (column.storage === undefined) return undefined;
  const { storage, close } = await column.storage(url);
  const app = await startGuarded(throttlers, storage);
  try {
    const address = await app.getUrl();
    return await use(async () => {
      const response = await fetch(`${address}/route`);
      await response.text();
      return { status: response.status, header: (name) => response.headers.get(name) };
    });
  } finally {
    await app.close();
    await close();
  }
}

async function startGuarded(throttlers: object[], storage: ThrottlerStorage) {
  const { ThrottlerModule, ThrottlerGuard } = (await peer('@nestjs/throttler')) as Throttler;

  @Controller()
  class Route {
    @Get('route')
    get(): string {
      return 'done';
    }
  }

  @Module({
    imports: [ThrottlerModule.forRoot({ throttlers, storage })],
    controllers: [Route],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
  })
  class Guarded {}

  const app = await NestFactory.create(Guarded, { logger: false });
  await app.listen(0, '127.0.0.1');
  return app;
}

const NO_STORAGE = notOffered('no storage for @nestjs/throttler');

export const retryAfter: Fault = {
  letter: 'G',
  title: '`Retry-After` of the guard',
  order: 'One throttler without a name, 1 request per minute. Two requests.',
  right: 'The second one is answered with 429 and `Retry-After` of 1 to 60 seconds.',
  play: async (column, { redis }) =>
    (await withGuard(column, redis.url, [{ ttl: 60_000, limit: 1 }], async (request) => {
      await request();
      const { status, header } = await request();
      const seconds = Number(header('retry-after'));
      const right = status === 429 && seconds >= 1 && seconds <= 60;
      return seenAs(right, `${status}, Retry-After: ${header('retry-after') ?? 'none'}`);
    })) ?? NO_STORAGE,
};

export const named: Fault = {
  letter: 'H',
  title: 'The same with a named throttler',
  order: 'One throttler with the name `burst`, 1 request per minute. Two requests.',
  right: 'The second one is answered with 429 and `Retry-After`, the header that clients read.',
  play: async (column, { redis }) =>
    (await withGuard(column, redis.url, [{ name: 'burst', ttl: 60_000, limit: 1 }], async (request) => {
      await request();
      const { status, header } = await request();
      const own = header('retry-after-burst') === null ? '' : ', but Retry-After-burst';
      const seen = `${status}, Retry-After: ${header('retry-after') ?? `none${own}`}`;
      return seenAs(status === 429 && header('retry-after') !== null, seen);
    })) ?? NO_STORAGE,
};

export const allOrNone: Fault = {
  letter: 'I',
  title: 'Several limits at once',
  order:
    'The guard with two throttlers: `burst`, 10 per minute, and `daily`, 1 per day. Six requests: the last five are refused by `daily`.',
  right: 'What `daily` refuses is not charged to `burst`: 9 requests are left there.',
  play: async (column, { redis }) => {
    const throttlers = [
      { name: 'burst', ttl: 60_000, limit: 10 },
      { name: 'daily', ttl: 86_400_000, limit: 1 },
    ];
    const verdict = await withGuard(column, redis.url, throttlers, async (request) => {
      let left: string | null = null;
      for (let i = 0; i < 6; i++) left = (await request()).header('x-ratelimit-remaining-burst');
      return seenAs(Number(left) === 9, `${left ?? 'unknown'} left`);
    });
    return verdict ?? NO_STORAGE;
  },
};
