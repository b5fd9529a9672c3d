import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, Param } from '@nestjs/common';
import { LimitedApps } from '../../../test/support/limited-app.js';
import { RateLimit, defineRateLimit, fromContext } from '../index.js';
import { draftFields, retryAfterSeconds } from './rate-limit-headers.js';

const apps = new LimitedApps();
beforeAll(() => apps.start());
afterEach(async () => {
  apps.redis.resume();
  await apps.clear();
});
afterAll(() => apps.stop());

const Login = defineRateLimit('login', { limit: 2, perMs: 60_000 });
const Api = defineRateLimit('api', {
  limits: { burst: { limit: 10, perMs: 1_500 }, daily: { limit: 1_000, window: 'day' } },
});
const Down = defineRateLimit('down', { limit: 5, perMs: 60_000, onUnavailable: 'deny' });

@Controller()
class Shop {
  @Get('login')
  @RateLimit(Login)
  login(): string {
    return 'ok';
  }

  @Get('api')
  @RateLimit([Api, Login])
  api(): string {
    return 'ok';
  }

  @Get('down')
  @RateLimit(Down)
  down(): string {
    return 'ok';
  }

  @Get('cost/:units')
  @RateLimit(Login, { cost: fromContext(() => 3) })
  cost(@Param('units') units: string): string {
    return units;
  }
}

const rateLimit = /^"login";r=(\d+);t=(\d+)$/;

describe('header fields', () => {
  it('tell of the policy and of what is left', async () => {
    await apps.boot({}, { controllers: [Shop] });
    const { headers, status } = await apps.get('login');
    expect(status).toBe(200);
    expect(headers.get('ratelimit-policy')).toBe('"login";q=2;w=60');
    const [, remaining, reset] = rateLimit.exec(headers.get('ratelimit') ?? '') ?? [];
    expect(remaining).toBe('1');
    expect(Number(reset)).toBeGreaterThan(50);
    expect(Number(reset)).toBeLessThanOrEqual(61);
    expect(headers.get('retry-after')).toBeNull();
    expect(headers.get('x-ratelimit-limit')).toBeNull();
  });

  it('name each of several limits, and give no window that is not of whole seconds', async () => {
    await apps.boot({}, { controllers: [Shop] });
    const { headers } = await apps.get('api');
    expect(headers.get('ratelimit-policy')).toBe('"api.burst";q=10, "api.daily";q=1000;w=86400, "login";q=2;w=60');
    expect(headers.get('ratelimit')).toMatch(/^"api\.burst";r=9;t=2, "api\.daily";r=999;t=\d+, "login";r=1;t=\d+$/);
  });

  it('a refusal has Retry-After, which is not before t, and a problem that names the limit and no key', async () => {
    await apps.boot({}, { controllers: [Shop] });
    await apps.statuses('login', 2);
    const { headers, status, body } = await apps.get('login');
    expect(status).toBe(429);
    const [, remaining, reset] = rateLimit.exec(headers.get('ratelimit') ?? '') ?? [];
    const retryAfter = Number(headers.get('retry-after'));
    expect(remaining).toBe('0');
    expect(retryAfter).toBeGreaterThan(50);
    expect(retryAfter).toBeGreaterThanOrEqual(Number(reset));
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(body).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too many requests, try again later',
      status: 429,
      code: 'SLUICE_RATE_LIMITED',
      'violated-policies': ['login'],
      retryAfter,
    });
  });

  it('a refusal of several limits names those without room', async () => {
    await apps.boot({}, { controllers: [Shop] });
    await apps.statuses('api', 2);
    const { headers, body } = await apps.get('api');
    expect(body).toMatchObject({ 'violated-policies': ['login'] });
    const times = [...(headers.get('ratelimit') ?? '').matchAll(/t=(\d+)/g)].map(([, t]) => Number(t));
    expect(times).toHaveLength(3);
    expect(Math.max(...times)).toBeLessThanOrEqual(Number(headers.get('retry-after')));
  });

  it('a call that costs more than the limit may try again after a window', async () => {
    await apps.boot({}, { controllers: [Shop] });
    const { headers, status } = await apps.get('cost/3');
    expect([status, headers.get('retry-after')]).toEqual([429, '60']);
  });

  it.each([
    ['x-ratelimit', null, '2'],
    ['both', '"login";q=2;w=60', '2'],
    ['none', null, null],
  ] as const)("are '%s' on request", async (fields, policy, limit) => {
    await apps.boot({ headers: fields }, { controllers: [Shop] });
    const { headers } = await apps.get('login');
    expect([headers.get('ratelimit-policy'), headers.get('x-ratelimit-limit')]).toEqual([policy, limit]);
    expect(headers.get('x-ratelimit-remaining')).toBe(limit && '1');
    if (limit !== null) expect(Number(headers.get('x-ratelimit-reset'))).toBeLessThanOrEqual(61);
    await apps.statuses('login', 1);
    const refused = await apps.get('login');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
  });

  it("with onUnavailable: 'deny', an outage is answered with 503, because the client is within its limit", async () => {
    await apps.boot({}, { controllers: [Shop] });
    apps.redis.pause();
    const { status, headers, body } = await apps.get('down');
    expect([status, headers.get('retry-after')]).toEqual([503, '1']);
    expect(body).toMatchObject({ type: expect.stringMatching(/#temporary-reduced-capacity$/), status: 503 });
  });

  it('are ASCII, whatever a limit is called', () => {
    const state = { name: 'größe', limit: 1, perMs: 1_000, remaining: 0, resetMs: 1 };
    const decision = {
      ...{
        allowed: true,
        remaining: 0,
        limit: 1,
        resetMs: 1,
        retryAfterMs: 0,
        violated: [],
        decidedBy: 'redis' as const,
      },
      limits: [state],
    };
    expect(draftFields([{ names: ['größe \\1'], decision }])).toEqual([
      ['RateLimit-Policy', '"gr%C3%B6%C3%9Fe \\\\1";q=1;w=1'],
      ['RateLimit', '"gr%C3%B6%C3%9Fe \\\\1";r=0;t=1'],
    ]);
    expect(retryAfterSeconds({ ...decision, retryAfterMs: 1_001 })).toBe(2);
  });
});
