import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, type CanActivate, type ModuleMetadata } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import { SluiceTestingModule, TestingClock } from '../../testing/index.js';
import {
  RateLimit,
  RateLimitGuard,
  RateLimitService,
  defineRateLimit,
  type SluiceLimitModuleOptions,
} from '../index.js';

const Two = defineRateLimit('two', { limit: 2, perMs: 60_000 });
const Three = defineRateLimit('three', { limit: 3, perMs: 60_000 });
const open: CanActivate = { canActivate: () => true };

@Controller()
class Shop {
  @Get('limited')
  @RateLimit(Two)
  limited(): string {
    return 'ok';
  }

  @Get('plain')
  plain(): string {
    return 'ok';
  }
}

let app: NestExpressApplication | undefined;
const close = async (): Promise<void> => {
  await app?.close();
  app = undefined;
};
afterEach(close);

/** Boots the shop within the process, and answers statuses. */
async function boot(
  limit: SluiceLimitModuleOptions,
  providers: NonNullable<ModuleMetadata['providers']> = [],
  override: (builder: TestingModuleBuilder) => TestingModuleBuilder = (builder) => builder,
): Promise<(path: string, times: number) => Promise<number[]>> {
  const imports = [SluiceTestingModule.forRoot({ limit })];
  const builder = Test.createTestingModule({ imports, controllers: [Shop], providers });
  const module = await override(builder).compile();
  app = module.createNestApplication<NestExpressApplication>({ logger: false });
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return async (path, times) => {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) statuses.push((await fetch(`${url}/${path}`)).status);
    return statuses;
  };
}

describe('in SluiceTestingModule', () => {
  it('routes are limited, and are open again when the clock has been advanced', async () => {
    const get = await boot({});
    expect(await get('limited', 3)).toEqual([200, 200, 429]);
    await app!.get(TestingClock).advance(60_001);
    expect(await get('limited', 3)).toEqual([200, 200, 429]);
  });

  it('answers have their header fields', async () => {
    await boot({});
    const { headers } = await fetch(`${await app!.getUrl()}/limited`);
    expect(headers.get('ratelimit-policy')).toBe('"two";q=2;w=60');
    expect(headers.get('ratelimit')).toMatch(/^"two";r=1;t=6\d$/);
  });

  it('all routes are limited under a global guard', async () => {
    const get = await boot({ routes: Three }, [{ provide: APP_GUARD, useClass: RateLimitGuard }]);
    expect(await get('plain', 4)).toEqual([200, 200, 200, 429]);
  });
});

describe('a test that puts another guard in the place of RateLimitGuard', () => {
  it('frees the routes to which @RateLimit brings it: overrideGuard', async () => {
    const get = await boot({}, [], (builder) => builder.overrideGuard(RateLimitGuard).useValue(open));
    expect(await get('limited', 5)).toEqual([200, 200, 200, 200, 200]);
    expect(app!.get(RateLimitService).stats()).toMatchObject({ allowed: 0, refused: 0 });
  });

  it('leaves a global guard, which enforces the limits of routes as well', async () => {
    const global = [{ provide: APP_GUARD, useClass: RateLimitGuard }];
    const get = await boot({ routes: Three }, global, (builder) =>
      builder.overrideGuard(RateLimitGuard).useValue(open),
    );
    expect(await get('limited', 3)).toEqual([200, 200, 429]);
    expect(await get('plain', 2)).toEqual([200, 429]);
  });

  it('frees all routes with overrideProvider as well, if the global guard is a provider of a class of its own', async () => {
    @Injectable()
    class AppGuard extends RateLimitGuard {}
    const global = [AppGuard, { provide: APP_GUARD, useExisting: AppGuard }];
    const limited = await boot({ routes: Three }, global);
    expect(await limited('plain', 4)).toEqual([200, 200, 200, 429]);
    await close();
    const get = await boot({ routes: Three }, global, (builder) =>
      builder.overrideProvider(AppGuard).useValue(open).overrideGuard(RateLimitGuard).useValue(open),
    );
    expect(await get('limited', 5)).toEqual([200, 200, 200, 200, 200]);
    expect(await get('plain', 5)).toEqual([200, 200, 200, 200, 200]);
  });

  it('may put a dry run in its place instead, without another guard', async () => {
    const get = await boot({ names: { two: { dryRun: true } } });
    expect(await get('limited', 5)).toEqual([200, 200, 200, 200, 200]);
    expect(app!.get(RateLimitService).stats()).toMatchObject({ refused: 3 });
  });
});
