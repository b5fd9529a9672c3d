import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  HttpException,
  Injectable,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type Type,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { commandDelta } from '../../../test/support/command-delta.js';
import { LimitedApps } from '../../../test/support/limited-app.js';
import {
  RateLimit,
  RateLimitGuard,
  RateLimitService,
  SkipRateLimit,
  defineRateLimit,
  fromContext,
  type RateLimitedError,
} from '../index.js';

const apps = new LimitedApps();
beforeAll(() => apps.start());
afterEach(() => apps.clear());
afterAll(() => apps.stop());

const guard = { provide: APP_GUARD, useClass: RateLimitGuard };
const Two = defineRateLimit('two', { limit: 2, perMs: 60_000 });
const Three = defineRateLimit('three', { limit: 3, perMs: 60_000 });
const Four = defineRateLimit('four', { limit: 4, perMs: 60_000 });
const header = (name: string) =>
  fromContext(
    (context) => context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers[name] ?? '-',
  );

@Controller()
@RateLimit(Three)
class Shop {
  calls = 0;

  @Get('both')
  @RateLimit(Two)
  both(): string {
    this.calls++;
    return 'ok';
  }

  @Get('class')
  ofClass(): string {
    return 'ok';
  }

  @Get('skips')
  @SkipRateLimit()
  skips(): string {
    return 'ok';
  }

  @Get('skips-three')
  @SkipRateLimit('three')
  @RateLimit(Two, { by: header('x-user') })
  skipsThree(): string {
    return 'ok';
  }
}

describe('limits of a route, of its class and of all routes', () => {
  it('charges each limit once per call, with a global guard, a guard of the class and one of the route', async () => {
    @Controller()
    @RateLimit(Three)
    @UseGuards(RateLimitGuard)
    class Guarded {
      @Get('both')
      @RateLimit(Two)
      @UseGuards(RateLimitGuard)
      both(): string {
        return 'ok';
      }
    }
    const app = await apps.boot({ routes: Four }, { controllers: [Guarded], providers: [guard, { ...guard }] });
    expect(await apps.statuses('both', 3)).toEqual([200, 200, 429]);
    const limits = app.get(RateLimitService);
    const left = (limit: typeof Two) => limits.peek(limit, '127.0.0.1').then(({ remaining }) => remaining);
    expect([await left(Two), await left(Three), await left(Four)]).toEqual([0, 1, 2]);
    expect(limits.stats()).toMatchObject({ allowed: 6, refused: 1 });
  });

  it('the decorator brings the guard along, and a controller runs only for calls that were admitted', async () => {
    const app = await apps.boot({}, { controllers: [Shop] });
    expect(await apps.statuses('both', 3)).toEqual([200, 200, 429]);
    expect(app.get(Shop).calls).toBe(2);
    expect(await apps.statuses('class', 2)).toEqual([200, 429]);
    expect(await apps.statuses('skips', 5)).toEqual([200, 200, 200, 200, 200]);
  });

  it('the limits of all routes are for a global guard, and do not count under one of a route', async () => {
    @Controller()
    class Other {
      @Get('other')
      @SkipRateLimit('four')
      other(): string {
        return 'ok';
      }
    }
    await apps.boot(
      { routes: ['four'], names: { four: { limit: 1, perMs: 60_000 } } },
      { controllers: [Shop, Other], providers: [guard] },
    );
    expect(await apps.statuses('skips', 3)).toEqual([200, 200, 200]);
    expect(await apps.statuses('other', 3)).toEqual([200, 200, 200]);
    expect(await apps.statuses('class', 2)).toEqual([200, 429]);
  });

  it('the guard of a route does not enforce them', async () => {
    await apps.boot(
      { routes: 'one', names: { one: { limit: 1, perMs: 60_000 } } },
      { controllers: [Shop], providers: [RateLimitGuard] },
    );
    expect(await apps.statuses('both', 3)).toEqual([200, 200, 429]);
  });

  it('a limit that is only tried out is asked for itself, and holds up no other', async () => {
    await apps.boot({ names: { two: { dryRun: true } } }, { controllers: [Shop] });
    expect(await apps.statuses('both', 4)).toEqual([200, 200, 200, 429]);
  });

  it('a skip by name leaves the other limits', async () => {
    await apps.boot({}, { controllers: [Shop] });
    expect(await apps.statuses('skips-three', 3, { headers: { 'x-user': 'ada' } })).toEqual([200, 200, 429]);
    expect(await apps.statuses('skips-three', 1, { headers: { 'x-user': 'bob' } })).toEqual([200]);
    expect(await apps.statuses('class', 3)).toEqual([200, 200, 200]);
  });

  it('asks the limits of one client in one script, all or none', async () => {
    const app = await apps.boot({ routes: Four }, { controllers: [Shop], providers: [guard] });
    await apps.get('both');
    const { calls } = await commandDelta(apps.admin, () => apps.get('both'));
    expect(calls).toMatchObject({ evalsha: 1 });
    expect(await apps.statuses('both', 3)).toEqual([429, 429, 429]);
    const { remaining } = await app.get(RateLimitService).peek(Four, '127.0.0.1');
    expect(remaining).toBe(2);
    expect(app.get(RateLimitService).stats().names).toEqual([
      { name: 'two', allowed: 2, refused: 3, remembered: 2, neared: 1, undecided: 0 },
      { name: 'three', allowed: 2, refused: 0, remembered: 0, neared: 0, undecided: 0 },
      { name: 'four', allowed: 2, refused: 0, remembered: 0, neared: 0, undecided: 0 },
    ]);
  });

  it('asks the limits of other subjects one after the other, and gives back what a refused call took', async () => {
    @Controller()
    @RateLimit(Two)
    class Tenants {
      @Get('tenant')
      @RateLimit(Three, { by: header('x-tenant') })
      tenant(): string {
        return 'ok';
      }
    }
    const app = await apps.boot({}, { controllers: [Tenants] });
    const init = { headers: { 'x-tenant': 'acme' } };
    expect(await apps.statuses('tenant', 5, init)).toEqual([200, 200, 429, 429, 429]);
    const limits = app.get(RateLimitService);
    expect((await limits.peek(Three, 'acme')).remaining).toBe(1);
    await limits.reset(Two, '127.0.0.1');
    expect(await apps.statuses('tenant', 2, init)).toEqual([200, 429]);
    expect((await limits.peek(Two, '127.0.0.1')).remaining).toBe(1);
  });

  it('a limit of the route is charged before one of the class, which a refusal leaves alone', async () => {
    @Controller()
    @RateLimit(Four, { by: header('x-user') })
    class Users {
      @Get('user')
      @RateLimit(Two)
      user(): string {
        return 'ok';
      }
    }
    await apps.boot({}, { controllers: [Users] });
    await apps.statuses('user', 2);
    const { calls } = await commandDelta(apps.admin, () => apps.get('user'));
    expect(calls).toMatchObject({ evalsha: 1 });
  });

  it('a limit on a route takes the place of the same limit on its class', async () => {
    @Controller()
    @RateLimit(Three, { cost: 3 })
    class Costs {
      @Get('cheap')
      @RateLimit(Three)
      cheap(): string {
        return 'ok';
      }

      @Get('dear')
      dear(): string {
        return 'ok';
      }

      @Get('asked/:units')
      @RateLimit(Four, {
        cost: fromContext(async (context) =>
          Promise.resolve(Number(context.switchToHttp().getRequest<{ params: { units: string } }>().params.units)),
        ),
      })
      @SkipRateLimit()
      asked(): string {
        return 'ok';
      }
    }
    await apps.boot({}, { controllers: [Costs] });
    expect(await apps.statuses('cheap', 1)).toEqual([200]);
    expect(await apps.statuses('dear', 1)).toEqual([429]);
    expect(await apps.statuses('cheap', 2)).toEqual([200, 200]);
    expect([...(await apps.statuses('asked/3', 2)), ...(await apps.statuses('asked/1', 2))]).toEqual([
      200, 429, 200, 429,
    ]);
  });

  it('classes that a function makes are limited each by its own decorators', async () => {
    const shopOf = (path: string, limit: typeof Two): Type => {
      @Controller(path)
      class Made {
        @Get()
        @RateLimit(limit)
        find(): string {
          return 'ok';
        }
      }
      return Made;
    };
    await apps.boot({}, { controllers: [shopOf('two', Two), shopOf('three', Three)] });
    expect(await apps.statuses('two', 3)).toEqual([200, 200, 429]);
    expect(await apps.statuses('three', 4)).toEqual([200, 200, 200, 429]);
  });

  it('a guard of the app answers in its own way, whichever guard comes first', async () => {
    @Injectable()
    class OwnGuard extends RateLimitGuard {
      protected override refuse(_context: ExecutionContext, error: RateLimitedError): Promise<never> {
        throw new HttpException({ slowDown: error.rateLimit }, 420);
      }
    }
    @Controller()
    class Own {
      @Get('own')
      @UseGuards(OwnGuard)
      @RateLimit(Two)
      own(): string {
        return 'ok';
      }
    }
    await apps.boot({}, { controllers: [Own] });
    expect(await apps.statuses('own', 2)).toEqual([200, 200]);
    const { status, body, headers } = await apps.get('own');
    expect({ status, body }).toEqual({ status: 420, body: { slowDown: 'two' } });
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('the options by name outrank the decorator', async () => {
    await apps.boot({ names: { two: { limit: 1 } } }, { controllers: [Shop] });
    expect(await apps.statuses('both', 2)).toEqual([200, 429]);
  });

  it('leaves calls alone that are no routes, such as handlers of tasks under guards', async () => {
    const app = await apps.boot({ routes: Two }, { controllers: [Shop], providers: [guard, RateLimitGuard] });
    const guarded: CanActivate = app.get(RateLimitGuard);
    const context = {
      getType: () => 'sluice',
      getClass: () => Shop,
      getHandler: () => () => 'no route',
      getArgs: () => [],
    } as unknown as ExecutionContext;
    expect(guarded.canActivate(context)).toBe(true);
    expect(app.get(RateLimitService).stats().allowed).toBe(0);
  });
});
