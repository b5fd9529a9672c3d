/** What clients see of `ThrottlerGuard` with each storage. */
import { Controller, Get, Module, type Type } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { RateLimitGuard, SluiceModule, defineRateLimit } from 'nestjs-sluice';
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

interface NamedLimit {
  name?: string;
  ttl: number;
  limit: number;
}

/** An app with one route, behind the guard. Answers are those of one client. */
async function withGuard<T>(
  column: Column,
  url: string,
  throttlers: NamedLimit[],
  use: (request: () => Promise<Answer>) => Promise<T>,
): Promise<T | undefined> {
  if (column.storage === undefined) return undefined;
  if (column.name === 'Sluice') return withRoute(sluiceModule(url, throttlers), use);
  const { storage, close } = await column.storage(url);
  try {
    return await withRoute(await throttlerModule(throttlers, storage), use);
  } finally {
    await close();
  }
}

async function withRoute<T>(module: Type, use: (request: () => Promise<Answer>) => Promise<T>): Promise<T> {
  const app = await NestFactory.create(module, { logger: false });
  await app.listen(0, '127.0.0.1');
  try {
    const address = await app.getUrl();
    return await use(async () => {
      const response = await fetch(`${address}/route`);
      await response.text();
      return { status: response.status, header: (name) => response.headers.get(name) };
    });
  } finally {
    await app.close();
  }
}

@Controller()
class Route {
  @Get('route')
  get(): string {
    return 'done';
  }
}

async function throttlerModule(throttlers: NamedLimit[], storage: ThrottlerStorage): Promise<Type> {
  const { ThrottlerModule, ThrottlerGuard } = (await peer('@nestjs/throttler')) as Throttler;

  @Module({
    imports: [ThrottlerModule.forRoot({ throttlers, storage })],
    controllers: [Route],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
  })
  class Guarded {}
  return Guarded;
}

/** The same limits under Sluice's own guard. */
function sluiceModule(url: string, throttlers: NamedLimit[]): Type {
  const limits = throttlers.map(({ name = 'default', ttl, limit }) => [name, { limit, perMs: ttl }] as const);
  const routes = defineRateLimit('routes', { limits: Object.fromEntries(limits) });

  @Module({
    imports: [SluiceModule.forRoot({ redis: { url }, limit: { routes } })],
    controllers: [Route],
    providers: [{ provide: APP_GUARD, useClass: RateLimitGuard }],
  })
  class Guarded {}
  return Guarded;
}

/** What is left of `burst`, by whichever header says it. */
function leftOfBurst({ header }: Answer): string | undefined {
  const own = header('x-ratelimit-remaining-burst');
  return own ?? /burst";r=(\d+)/.exec(header('ratelimit') ?? '')?.[1];
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
      let left: string | undefined;
      for (let i = 0; i < 6; i++) left = leftOfBurst(await request());
      return seenAs(Number(left) === 9, `${left ?? 'unknown'} left`);
    });
    return verdict ?? NO_STORAGE;
  },
};
