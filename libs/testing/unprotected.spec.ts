import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { of, lastValueFrom, type Observable } from 'rxjs';
import { CacheEvict, CacheStampedeSafe, WithLock, bindSluice, currentLock } from '../sluice/index.js';
import { SluiceTestingModule, unprotected } from './index.js';

class Orders {
  count = (): number => 3;
}

@Injectable()
class Shop {
  constructor(readonly orders: Orders) {}

  @WithLock('settle')
  async settle(): Promise<[number, unknown]> {
    return Promise.resolve([this.orders.count(), currentLock()]);
  }

  @CacheStampedeSafe({ key: 'count' })
  @WithLock('count')
  async both(): Promise<number> {
    return Promise.resolve(this.orders.count());
  }

  @CacheEvict({ key: (id: string) => id })
  async drop(id: string): Promise<string> {
    return Promise.resolve(`${id} ${String((await this.settle())[0])}`);
  }

  @WithLock('all')
  all(): Observable<number> {
    return of(this.orders.count());
  }
}

/** As createMock of @golevelup/ts-jest does: it takes what it is given for the beginning of the mock. */
const createMock = (partial: unknown): object =>
  new Proxy(partial as object, { get: (_partial, key) => (key === 'then' ? undefined : () => undefined) });
/** As the recipe with jest-mock in Nest's documentation does: it knows classes alone. */
const ofClassesAlone = (token: unknown): object | undefined => (typeof token === 'function' ? {} : undefined);

let app: TestingModule | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

describe('a decorated method in a unit test', () => {
  it('runs its body alone when its object is unprotected', async () => {
    const orders = new Orders();
    const shop = unprotected(new Shop(orders));
    await expect(shop.settle()).resolves.toEqual([3, undefined]);
    await expect(shop.drop('a')).resolves.toBe('a 3');
    await expect(lastValueFrom(shop.all())).resolves.toBe(3);
    const count = jest.spyOn(orders, 'count');
    await shop.both();
    await shop.both();
    expect(count).toHaveBeenCalledTimes(2); // nothing is cached
  });

  it('stays protected on every other object of the class, and on one that an app provides', async () => {
    unprotected(new Shop(new Orders()));
    await expect(new Shop(new Orders()).settle()).rejects.toMatchObject({
      code: 'SLUICE_NOT_BOUND',
      message: expect.stringContaining('unprotected(object)') as unknown,
    });
    app = await Test.createTestingModule({
      imports: [SluiceTestingModule.forRoot()],
      providers: [Shop, Orders],
    }).compile();
    await app.init();
    const shop = app.get(Shop);
    expect(() => unprotected(shop)).toThrow(/belongs to an app. Make one of your own/);
    expect((await shop.settle())[1]).toBeDefined();
    await app.close();
    await expect(unprotected(shop).settle()).resolves.toEqual([3, undefined]);
  });

  it('is protected again once its object is bound to an app', async () => {
    app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
    await app.init();
    const shop = unprotected(Object.freeze(new Shop(new Orders())));
    expect((await shop.settle())[1]).toBeUndefined();
    expect((await bindSluice(shop, app).settle())[1]).toBeDefined();
  });

  it.each([
    ['createMock', createMock],
    ['a mocker of classes', ofClassesAlone],
  ])('compiles with useMocker(%s), and says what to do', async (_name, mocker) => {
    app = await Test.createTestingModule({ providers: [Shop, Orders] })
      .useMocker(mocker)
      .compile();
    const shop = app.get(Shop);
    await expect(shop.settle()).rejects.toMatchObject({
      code: 'SLUICE_NOT_BOUND',
      message: expect.stringMatching(/Import SluiceTestingModule.*unprotected\(object\)/s) as unknown,
    });
    await expect(unprotected(shop).settle()).resolves.toEqual([3, undefined]);
  });

  it('needs SluiceModule in an app, which fails to compile without and says so', async () => {
    await expect(Test.createTestingModule({ providers: [Shop, Orders] }).compile()).rejects.toThrow(
      /of a decorated method: import SluiceModule, in tests SluiceTestingModule/,
    );
  });
});
