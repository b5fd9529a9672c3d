/** What tests of this app's classes do: mocks of everything, a real module without Redis, a body alone. */
import assert from 'node:assert/strict';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheStampedeSafe, WithLock, isSluiceError } from 'nestjs-sluice';
import { SluiceTestingModule, TestingClock, TestingQueue, unprotected } from 'nestjs-sluice/testing';
import { check, moduleOf, sluice } from './check.js';

@Injectable()
class Stock {
  count(): number {
    return 3;
  }
}

@Injectable()
class Shop {
  loads = 0;

  constructor(readonly stock: Stock) {}

  @WithLock('sell')
  async sell(): Promise<number> {
    return this.stock.count();
  }

  @CacheStampedeSafe({ key: 'price', ttlMs: 60_000 })
  async price(): Promise<number> {
    return ++this.loads;
  }
}

/** As createMock of @golevelup/ts-jest: what it is given is where the mock begins, and a text is none. */
const createMock = (partial: unknown): object =>
  new Proxy(partial as object, { get: (_partial, key) => (key === 'then' ? undefined : () => 8) });

export const tested = async (): Promise<void> => {
  await check('useMocker(createMock) compiles, and a decorated method says what to do', async () => {
    const module = await Test.createTestingModule({ providers: [Shop] })
      .useMocker(createMock)
      .compile();
    const shop = module.get(Shop);
    await assert.rejects(shop.sell(), (error) => isSluiceError(error, 'SLUICE_NOT_BOUND'));
    assert.equal(await unprotected(shop).sell(), 8);
    assert.equal(await unprotected(new Shop(new Stock())).sell(), 3);
  });
  await check('SluiceTestingModule.override runs the real module without Redis', async () => {
    const redis = { url: 'redis://127.0.0.1:1' };
    const AppModule = moduleOf({ imports: [sluice('tested', { redis })], providers: [Shop, Stock] });
    const module = await SluiceTestingModule.override(Test.createTestingModule({ imports: [AppModule] })).compile();
    await module.init();
    const shop = module.get(Shop);
    assert.equal(await shop.sell(), 3);
    assert.deepEqual([await shop.price(), await shop.price()], [1, 1]);
    await module.get(TestingClock).advance(120_000);
    assert.equal(await shop.price(), 2);
    assert.deepEqual(await module.get(TestingQueue).drain(), { completed: 0, dead: 0 });
    await module.close();
  });
};
