/** The guard of @nestjs/throttler with Sluice's storage: what its README and its issues tell, named limits included. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { SkipThrottle, Throttle, ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { RateLimitService } from 'nestjs-sluice';
import { SluiceThrottlerStorage } from 'nestjs-sluice/throttler';
import { check, moduleOf, sluice } from './check.js';

@Controller()
class Routes {
  @Get('default')
  default(): string {
    return 'ok';
  }

  @Get('own')
  @Throttle({ short: { limit: 5, ttl: 60_000 } })
  own(): string {
    return 'ok';
  }

  @Get('skipped')
  @SkipThrottle({ short: true, long: true })
  skipped(): string {
    return 'ok';
  }

  @Get('long')
  @SkipThrottle({ short: true })
  long(): string {
    return 'ok';
  }

  @Get('blocked')
  @Throttle({ short: { limit: 1, ttl: 300, blockDuration: 60_000 } })
  blocked(): string {
    return 'ok';
  }
}

@Module({})
class Settings {}

async function main(): Promise<void> {
  await check('the guard of @nestjs/throttler with SluiceThrottlerStorage, in two instances', async () => {
    const module = () => {
      const throttler = ThrottlerModule.forRootAsync({
        imports: [Settings],
        inject: [RateLimitService],
        useFactory: (limits: RateLimitService) => ({
          throttlers: [
            { name: 'short', ttl: 60_000, limit: 3 },
            { name: 'long', ttl: 60_000, limit: 4 },
          ],
          storage: new SluiceThrottlerStorage(limits),
        }),
      });
      const providers = [{ provide: APP_GUARD, useClass: ThrottlerGuard }];
      return moduleOf({ imports: [sluice('throttled'), throttler], controllers: [Routes], providers });
    };
    const apps = await Promise.all([0, 1].map(() => NestFactory.create(module(), { logger: ['error', 'warn'] })));
    for (const app of apps) await app.listen(0, '127.0.0.1');
    const [one, two] = await Promise.all(apps.map((app) => app.getUrl()));
    const get = async (url: string | undefined, path: string) => (await fetch(`${url}/${path}`)).status;
    const first = await fetch(`${one}/default`);
    assert.equal(first.status, 200);
    assert.equal(first.headers.get('x-ratelimit-limit-short'), '3');
    assert.equal(first.headers.get('x-ratelimit-remaining-short'), '2');
    assert.deepEqual([await get(two, 'default'), await get(one, 'default')], [200, 200]);
    assert.deepEqual([await get(two, 'default'), await get(one, 'default')], [429, 429]);
    const own: number[] = [];
    for (let i = 0; i < 5; i++) own.push(await get(i % 2 ? one : two, 'own'));
    assert.deepEqual(own, [200, 200, 200, 200, 429]); // `long` allows four
    for (let i = 0; i < 6; i++) assert.equal(await get(one, 'skipped'), 200);
    const long: number[] = [];
    for (let i = 0; i < 5; i++) long.push(await get(one, 'long'));
    assert.deepEqual(long, [200, 200, 200, 200, 429]);
    assert.deepEqual([await get(one, 'blocked'), await get(one, 'blocked')], [200, 429]);
    await new Promise((resolve) => setTimeout(resolve, 600)); // the window is over, the block is not
    assert.equal(await get(two, 'blocked'), 429);
    await Promise.all(apps.map((app) => app.close()));
  });
}

void main();
