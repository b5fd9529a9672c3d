/** One process that serves one Nest route: bare, or behind a rate limiter. */
import 'reflect-metadata';
import { Controller, Get, Logger, Module, type Type } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { RateLimitGuard, SluiceModule, defineRateLimit } from 'nestjs-sluice';
import { serve } from '../../test/support/app-host.js';
import { peer } from './peer.js';
import { nestLabStorage } from './peers/limiters.js';

export type RouteKind = 'bare' | 'sluice' | '@nestjs/throttler';

interface Throttler {
  ThrottlerModule: { forRoot(options: object): never };
  ThrottlerGuard: new () => never;
}

Logger.overrideLogger(['error']);

const url = process.env['REDIS_URL'] ?? '';
const closers: (() => Promise<unknown>)[] = [];
const PLENTY = { limit: 1_000_000, perMs: 600_000 };

@Controller()
class Route {
  @Get()
  get(): { done: boolean } {
    return { done: true };
  }
}

@Module({ controllers: [Route] })
class Bare {}

@Module({
  imports: [SluiceModule.forRoot({ redis: { url }, limit: { routes: defineRateLimit('routes', PLENTY) } })],
  controllers: [Route],
  providers: [{ provide: APP_GUARD, useClass: RateLimitGuard }],
})
class Limited {}

async function throttled(): Promise<Type> {
  const { ThrottlerModule, ThrottlerGuard } = (await peer('@nestjs/throttler')) as Throttler;
  const { storage, close } = await nestLabStorage(url);
  closers.push(close);
  const throttlers = [{ ttl: PLENTY.perMs, limit: PLENTY.limit }];

  @Module({
    imports: [ThrottlerModule.forRoot({ throttlers, storage })],
    controllers: [Route],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
  })
  class Throttled {}
  return Throttled;
}

serve({
  ops: {
    listen: async (kind: RouteKind): Promise<string> => {
      const module = kind === 'bare' ? Bare : kind === 'sluice' ? Limited : await throttled();
      const app = await NestFactory.create(module, { abortOnError: false });
      closers.unshift(() => app.close());
      await app.listen(0, '127.0.0.1');
      return app.getUrl();
    },
  },
  stop: async () => {
    for (const close of closers) await close();
  },
});
