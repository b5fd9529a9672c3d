import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  HttpCode,
  Injectable,
  Post,
  Query,
  Sse,
  UnauthorizedException,
  UseGuards,
  type INestApplication,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { RateLimit, RateLimitGuard, RateLimitService, SluiceModule, defineRateLimit } from 'nestjs-sluice';
import { from, type Observable } from 'rxjs';
import { gate } from '../support/gate.js';
import { LimitedApps } from '../support/limited-app.js';
import { until } from '../support/until.js';

/** What users of other rate limiters have reported, done here as they did it. */
const apps = new LimitedApps();
beforeAll(() => apps.start());
afterEach(() => apps.clear());
afterAll(() => apps.stop());

// What Redis decides too late on a slow machine is refused.
const Five = defineRateLimit('five', { limit: 5, perMs: 600_000, onUnavailable: 'deny' });
const Failures = defineRateLimit('failures', { limit: 5, perMs: 600_000 });
const Brief = defineRateLimit('brief', { limit: 2, perMs: 200 });
let door = gate();

@Controller()
class Routes {
  @Get('five')
  @RateLimit(Five)
  five(): string {
    return 'ok';
  }

  @Post('login')
  @HttpCode(200)
  @RateLimit(Failures, { count: 'failures' })
  login(@Query('password') password: string): string {
    if (password !== 'right') throw new UnauthorizedException();
    return 'welcome';
  }

  @Get('slow')
  @RateLimit(Brief, { count: 'failures' })
  async slow(): Promise<string> {
    await door.opened;
    return 'ok';
  }

  @Sse('events')
  @RateLimit(Five)
  events(): Observable<{ data: string }> {
    return from([{ data: 'one' }, { data: 'two' }]);
  }
}

const service = async (): Promise<RateLimitService> =>
  (await apps.boot({}, { controllers: [Routes] })).get(RateLimitService);
const left = async (limits: RateLimitService): Promise<number> => (await limits.peek(Five, '127.0.0.1')).remaining;

// nestjs/throttler#1303, kkoomen/nestjs-throttler-storage-redis#1064
it('of a flood of requests at once, as many get through as the limit says', async () => {
  const limits = await service();
  const answers = await Promise.all(Array.from({ length: 200 }, () => apps.get('five')));
  expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(5);
  expect(new Set(answers.map(({ status }) => status))).toContain(429);
  expect(await left(limits)).toBe(0);
});

// nestjs/throttler#1025, #1365
it("the app's own guard, given twice to the app, to the class and to the route, charges once", async () => {
  @Injectable()
  class OwnGuard extends RateLimitGuard {}
  @Controller()
  @UseGuards(OwnGuard)
  class Guarded {
    @Get('guarded')
    @UseGuards(OwnGuard, RateLimitGuard)
    @RateLimit(Five)
    guarded(): string {
      return 'ok';
    }
  }
  const providers = [OwnGuard, RateLimitGuard].map((useClass) => ({ provide: APP_GUARD, useClass }));
  await apps.boot({}, { controllers: [Guarded], providers });
  expect(await apps.statuses('guarded', 6)).toEqual([200, 200, 200, 200, 200, 429]);
});

// express-rate-limit/express-rate-limit#307
it('right passwords in between give no more guesses', async () => {
  await service();
  const statuses: number[] = [];
  for (let i = 0; i < 12; i++) {
    const path = `login?password=${i % 2 === 0 ? 'guess' : 'right'}`;
    statuses.push((await apps.get(path, { method: 'POST' })).status);
  }
  expect(statuses.filter((status) => status === 401)).toHaveLength(5);
  expect(statuses.slice(-3)).toEqual([429, 429, 429]);
});

// rhinobase/hono-rate-limiter#67
it('units that are given back after their window are no credit', async () => {
  door = gate();
  const limits = await service();
  const slow = [apps.get('slow'), apps.get('slow')];
  await until(() => limits.stats().allowed === 2, { what: 'both are charged' });
  await until(async () => (await limits.peek(Brief, '127.0.0.1')).remaining === 2, { what: 'the window is over' });
  door.open();
  expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200]);
  expect((await limits.peek(Brief, '127.0.0.1')).remaining).toBe(2);
});

// SGrondin/bottleneck#112, #194
it('calls that wait for their turns go on when Redis has lost everything', async () => {
  const Paced = defineRateLimit('paced', { limit: 20, perMs: 1_000, mode: 'pace' });
  const limits = await service();
  const waiting = Array.from({ length: 10 }, () => limits.take(Paced, 'all', { maxWaitMs: 600_000 }));
  await waiting[1];
  await apps.admin.flushall();
  await apps.admin.script('FLUSH');
  await Promise.all([
    ...waiting,
    ...Array.from({ length: 5 }, () => limits.take(Paced, 'all', { maxWaitMs: 600_000 })),
  ]);
});

// SGrondin/bottleneck#151
it('ten thousand calls at once, each of another cost than the one before, are all counted', async () => {
  const Many = defineRateLimit('many', { limit: 1_000_000, perMs: 600_000, onUnavailable: 'deny' });
  const limits = await service();
  const calls = Array.from({ length: 10_000 }, (_, i) => ({ cost: 1 + (i % 7) }));
  const decisions = await Promise.all(calls.map((options) => limits.consume(Many, 'all', options)));
  const admitted = calls.filter((_, i) => decisions[i]?.allowed).reduce((sum, { cost }) => sum + cost, 0);
  expect((await limits.peek(Many, 'all')).remaining).toBeLessThanOrEqual(1_000_000 - admitted);
});

it('a stream of events is one call, a HEAD is one, and the question of a browser before a call is none', async () => {
  const app = await apps.boot({}, { controllers: [Routes] }, (before) => {
    before.enableCors();
  });
  const limits = app.get(RateLimitService);
  expect((await apps.get('events')).body).toContain('data: two');
  expect(await left(limits)).toBe(4);
  await apps.get('five', { method: 'HEAD' });
  expect(await left(limits)).toBe(3);
  const headers = { origin: 'https://shop.example', 'access-control-request-method': 'GET' };
  expect((await apps.get('five', { method: 'OPTIONS', headers })).status).toBe(204);
  expect(await left(limits)).toBe(3);
});

// onur-ozkan/nestjs-rate-limiter#84: no address, and so no limit
it('a request without an address fails with what to do, and is not let through', async () => {
  const path = join(tmpdir(), `sluice-${randomUUID()}.sock`);
  const imports = [SluiceModule.forRoot({ redis: { url: apps.redis.url } })];
  const module = await Test.createTestingModule({ imports, controllers: [Routes] }).compile();
  const app: INestApplication = module.createNestApplication({ logger: false });
  await app.listen(path);
  try {
    const status = await new Promise((resolve, reject) => {
      const asked = httpRequest({ socketPath: path, path: '/five' }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on('error', reject).end();
    });
    expect(status).toBe(500);
  } finally {
    await app.close();
  }
});
