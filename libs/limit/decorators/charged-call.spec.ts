import { afterEach, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { SluiceTestingModule } from '../../testing/index.js';
import { RateLimitService, defineRateLimit } from '../index.js';
import { ChargedCall, chargeCall, type LimitOfCall } from './charged-call.js';

let app: TestingModule | undefined;
afterEach(() => app?.close());

it('limits of one key that a call charges unlike units are charged what each of them is told', async () => {
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
  await app.init();
  const limits = app.get(RateLimitService);
  const [Requests, Units] = ['requests', 'units'].map((name) => defineRateLimit(name, { limit: 10, perMs: 60_000 }));
  const of = (ref: typeof Requests, cost: number): LimitOfCall => {
    return { known: limits.known(ref!), key: 'k', cost, count: undefined, maxWaitMs: undefined };
  };
  const call = await chargeCall(limits, [of(Requests, 1), of(Units, 7)]);
  expect(call).toBeInstanceOf(ChargedCall);
  const left = async (ref: typeof Requests) => (await limits.peek(ref!, 'k')).remaining;
  expect([await left(Requests), await left(Units)]).toEqual([9, 3]);
  const refused = await chargeCall(limits, [of(Requests, 1), of(Units, 7)]);
  expect(refused).toMatchObject({ error: { rateLimit: 'units' }, decided: { names: ['units'] } });
  expect([await left(Requests), await left(Units)]).toEqual([9, 3]);
});
