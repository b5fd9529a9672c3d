import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable } from '@nestjs/common';
import { firstValueFrom, of, type Observable } from 'rxjs';
import { LimitedApps } from '../../../test/support/limited-app.js';
import { isSluiceError } from '../../weave/index.js';
import { RateLimit, RateLimitService, defineRateLimit } from '../index.js';

const apps = new LimitedApps();
beforeAll(() => apps.start());
afterEach(() => apps.clear());
afterAll(() => apps.stop());

const Two = defineRateLimit('two', { limit: 2, perMs: 60_000 });
const Three = defineRateLimit('three', { limit: 3, perMs: 60_000 });
const Paced = defineRateLimit('paced', { limit: 5, perMs: 1_000, mode: 'pace' });
const Slow = defineRateLimit('slow', { limit: 1, perMs: 60_000, mode: 'pace' });
const failure = new TypeError('refused by the partner');

interface Order {
  readonly account: string;
  readonly items: number;
}

@Injectable()
class Partner {
  calls: unknown[] = [];
  readonly tenant = 'acme';

  @RateLimit(Two)
  async any(): Promise<string> {
    return Promise.resolve('sent');
  }

  @RateLimit(Two, { by: (order: Order) => order.account })
  async send(order: Order): Promise<string> {
    this.calls.push(order);
    return Promise.resolve(order.account);
  }

  @RateLimit(Three, { by: (order: Order) => order.account, cost: (order: Order) => order.items })
  async sendItems(order: Order): Promise<string> {
    return Promise.resolve(order.account);
  }

  @RateLimit(Two, {
    by(this: Partner) {
      return this.tenant;
    },
  })
  async ofTenant(): Promise<string> {
    return this.send({ account: this.tenant, items: 1 });
  }

  @RateLimit(Two, { count: 'failures' })
  async counted(fails: boolean): Promise<string> {
    if (fails) throw failure;
    return Promise.resolve('sent');
  }

  @RateLimit(Two, { count: 'successes' })
  async countedSuccess(fails: boolean): Promise<string> {
    return this.counted(fails).catch(() => Promise.reject(failure));
  }

  @RateLimit(Two)
  @RateLimit(Three)
  async stacked(): Promise<string> {
    return Promise.resolve('sent');
  }

  @RateLimit([Two, Three], { by: (account: string) => account })
  async listed(account: string): Promise<string> {
    return Promise.resolve(account);
  }

  @RateLimit(Paced, { maxWaitMs: 60_000 })
  async paced(): Promise<number> {
    return Promise.resolve(performance.now());
  }

  @RateLimit([Slow, Two], { maxWaitMs: 0 })
  async impatient(): Promise<string> {
    return Promise.resolve('sent');
  }

  @RateLimit(Two)
  watch(): Observable<string> {
    return of('sent');
  }

  @RateLimit(Two, { count: 'failures' })
  watchCounted(): Observable<string> {
    return of('sent');
  }

  @RateLimit(Two, { by: () => undefined as never })
  async nobody(): Promise<string> {
    return Promise.resolve('sent');
  }
}

const boot = async (): Promise<{ partner: Partner; limits: RateLimitService }> => {
  const app = await apps.boot({}, { providers: [Partner] });
  return { partner: app.get(Partner), limits: app.get(RateLimitService) };
};
const outcomes = async (times: number, call: () => Promise<unknown>): Promise<unknown[]> => {
  const answers: unknown[] = [];
  for (let i = 0; i < times; i++)
    answers.push(await call().catch((error: unknown) => (isSluiceError(error) ? error.code : error)));
  return answers;
};
const NO = 'SLUICE_RATE_LIMITED';

describe('a method with @RateLimit', () => {
  it('rejects with RateLimitedError, and without `by` all calls share one count', async () => {
    const { partner, limits } = await boot();
    expect(await outcomes(3, () => partner.any())).toEqual(['sent', 'sent', NO]);
    await expect(partner.any()).rejects.toMatchObject({ rateLimit: 'two', retryAfterMs: expect.any(Number) });
    expect((await limits.peek(Two, 'all')).remaining).toBe(0);
  });

  it('counts by its arguments, and its body runs only for calls that were admitted', async () => {
    const { partner } = await boot();
    expect(await outcomes(3, () => partner.send({ account: 'a', items: 1 }))).toEqual(['a', 'a', NO]);
    expect(await outcomes(1, () => partner.send({ account: 'b', items: 1 }))).toEqual(['b']);
    expect(partner.calls).toHaveLength(3);
  });

  it('takes the cost and the object of the call', async () => {
    const { partner, limits } = await boot();
    expect(await outcomes(1, () => partner.sendItems({ account: 'a', items: 3 }))).toEqual(['a']);
    expect(await outcomes(1, () => partner.sendItems({ account: 'a', items: 1 }))).toEqual([NO]);
    expect(await outcomes(1, () => partner.ofTenant())).toEqual(['acme']);
    // The outer and the inner call, of one account.
    expect((await limits.peek(Two, 'acme')).remaining).toBe(0);
  });

  it('counts failures only, and leaves the error as it is', async () => {
    const { partner } = await boot();
    expect(await outcomes(4, () => partner.counted(false))).toEqual(['sent', 'sent', 'sent', 'sent']);
    const errors = await outcomes(2, () => partner.counted(true));
    expect(errors[0]).toBe(failure);
    expect(await outcomes(1, () => partner.counted(false))).toEqual([NO]);
  });

  it.each(['stacked', 'listed'] as const)('charges all of its limits or none: %s', async (method) => {
    const { partner, limits } = await boot();
    expect(await outcomes(4, () => partner[method]('all'))).toEqual(
      ['sent', 'sent', NO, NO].map((each) => (method === 'listed' && each === 'sent' ? 'all' : each)),
    );
    expect((await limits.peek(Three, 'all')).remaining).toBe(1);
    expect(limits.stats().names).toEqual([
      { name: 'two', allowed: 2, refused: 2, remembered: 1, neared: 1, undecided: 0 },
      { name: 'three', allowed: 2, refused: 0, remembered: 0, neared: 0, undecided: 0 },
    ]);
  });

  it('a reset frees a client at once that several limits refused', async () => {
    const { partner, limits } = await boot();
    expect(await outcomes(3, () => partner.listed('a'))).toEqual(['a', 'a', NO]);
    await limits.reset(Two, 'a');
    expect(await outcomes(1, () => partner.listed('a'))).toEqual(['a']);
  });

  it('waits for its turn on a paced limit, and gives back what it took if the turn would come too late', async () => {
    const { partner, limits } = await boot();
    const beganMs = performance.now();
    const [, second] = await Promise.all([partner.paced(), partner.paced()]);
    // Its turn is 200 ms after the decision, less what a timer may round.
    expect(second - beganMs).toBeGreaterThanOrEqual(198);
    expect(await outcomes(2, () => partner.impatient())).toEqual(['sent', NO]);
    expect((await limits.peek(Two, 'all')).remaining).toBe(1);
  });

  it('limits Observables, except where their outcome would count', async () => {
    const { partner } = await boot();
    expect(await firstValueFrom(partner.watch())).toBe('sent');
    const counted: unknown = partner.watchCounted();
    expect(await outcomes(1, () => counted as Promise<unknown>)).toEqual(['SLUICE_BAD_RESULT']);
  });

  it('refuses a key that is no string', async () => {
    const { partner } = await boot();
    await expect(partner.nobody()).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME', message: /Partner.nobody/ });
  });

  it('two limits and keys that read alike are two', async () => {
    const { limits } = await boot();
    const [a, ab] = [
      defineRateLimit('a', { limit: 1, perMs: 60_000 }),
      defineRateLimit('a b', { limit: 1, perMs: 60_000 }),
    ];
    const decisions = await Promise.all([limits.consume(a, 'b c'), limits.consume(ab, 'c')]);
    expect(decisions.map(({ allowed }) => allowed)).toEqual([true, true]);
  });

  it('on a route, leaves the method as it is: calls by other code are not limited', async () => {
    @Controller()
    class Shop {
      @Get('index')
      @RateLimit(Two)
      index(): string {
        return 'ok';
      }

      @RateLimit(Two)
      async inner(): Promise<string> {
        return Promise.resolve(this.index());
      }
    }
    expect(new Shop().index()).toBe('ok');
    const app = await apps.boot({}, { controllers: [Shop] });
    const shop = app.get(Shop);
    expect([shop.index(), shop.index(), shop.index()]).toEqual(['ok', 'ok', 'ok']);
    expect(await outcomes(3, () => shop.inner())).toEqual(['ok', 'ok', NO]);
  });
});
