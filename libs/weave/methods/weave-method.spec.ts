import 'reflect-metadata';
import { inspect } from 'node:util';
import { Injectable, SetMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { TALLY, Tallied, TallyModule, type TallyService } from '../../../test/support/tallied.decorator.js';
import { brandService, isSluiceError, weaveMethod, type WeaveDecorator } from '../index.js';

/** What TypeScript would refuse, as plain JavaScript may write it. */
const untyped = (): WeaveDecorator => Tallied();

const failure = new TypeError('sold out');

@Injectable()
class Shop {
  name = 'corner';

  @Tallied()
  async greet(who: string, mark = '!'): Promise<string> {
    return `${this.name} greets ${who}${mark}`;
  }

  @Tallied()
  async fail(): Promise<void> {
    throw failure;
  }

  @Tallied()
  failAtOnce(): Promise<void> {
    throw failure;
  }

  @untyped()
  add(a: number, b: number): number {
    return a + b;
  }
}

async function shopInAnApp(): Promise<{ shop: Shop; tally: TallyService }> {
  const app = await Test.createTestingModule({ imports: [TallyModule], providers: [Shop] }).compile();
  return { shop: app.get(Shop), tally: app.get<TallyService>(TALLY) };
}

describe('a woven method', () => {
  let shop: Shop;
  let tally: TallyService;
  beforeAll(async () => ({ shop, tally } = await shopInAnApp()));

  it('runs through the service, on its object, with its arguments', async () => {
    await expect(shop.greet('Ada')).resolves.toBe('corner greets Ada!');
    const call = tally.calls.at(-1)!;
    expect(call).toMatchObject({ className: 'Shop', method: 'greet', args: ['Ada'], declaredBy: Shop });
    expect(call.self).toBe(shop);
    expect(call.fn).toBe(Shop.prototype.greet);
  });

  it('runs as it is if the decorator is idle there, which is asked once, and finds all metadata', async () => {
    const asked: unknown[] = [];
    const idle = weaveMethod(
      {
        decorator: '@Idle',
        token: TALLY,
        isIdle: (metadata) => {
          asked.push(metadata('above'), metadata('below'));
          return metadata('above') === 'route';
        },
      },
      () => 'through the service',
    );
    class Routes {
      @SetMetadata('above', 'route')
      @idle
      @SetMetadata('below', 1)
      index(): string {
        return 'at once';
      }

      @idle
      plain(): unknown {
        return 'at once';
      }
    }
    const routes = new Routes();
    expect([routes.index(), routes.index()]).toEqual(['at once', 'at once']);
    expect(asked).toEqual(['route', 1]);
    await expect(routes.plain()).rejects.toMatchObject({ code: 'SLUICE_NOT_BOUND' });
  });

  it('keeps name and length', () => {
    expect(shop.greet.name).toBe('greet');
    expect(shop.greet).toHaveLength(1);
  });

  it.each(['fail', 'failAtOnce'] as const)('rejects with the very error of the body: %s', async (method) => {
    const outcome = shop[method]();
    await expect(outcome.catch((error: unknown) => error)).resolves.toBe(failure);
  });

  it('answers with a promise even if the body does not', async () => {
    const sum: unknown = shop.add(1, 2);
    expect(sum).toBeInstanceOf(Promise);
    await expect(sum).resolves.toBe(3);
  });

  it('leaves no visible trace on its object', () => {
    const untouched = { name: 'corner' };
    expect(JSON.stringify(shop)).toBe(JSON.stringify(untouched));
    expect({ ...(shop as object) }).toStrictEqual(untouched);
    expect(shop).toEqual(untouched);
    expect(Object.keys(shop)).toEqual(['name']);
    expect(inspect(shop)).toBe("Shop { name: 'corner' }");
    for (const key in shop) expect(key).toBe('name');
    expect(inspect(Shop.prototype)).not.toContain('sluice');
  });
});

describe('metadata', () => {
  const wrapsAgain: MethodDecorator = (_target, _key, descriptor: PropertyDescriptor) => {
    const inner = descriptor.value as (...args: unknown[]) => unknown;
    descriptor.value = function (this: unknown, ...args: unknown[]) {
      return inner.apply(this, args);
    };
  };

  class Base {
    @SetMetadata('above', 1)
    @Tallied()
    @SetMetadata('below', 2)
    async both(): Promise<string> {
      return 'both';
    }

    @SetMetadata('above', 1)
    @wrapsAgain
    @Tallied()
    @SetMetadata('below', 2)
    async wrappedAgain(): Promise<string> {
      return 'wrapped again';
    }

    @Tallied()
    async overridden(): Promise<string> {
      return 'base';
    }
  }

  @Injectable()
  class Derived extends Base {
    @SetMetadata('above', 1)
    override async overridden(): Promise<string> {
      return `${await super.overridden()} and derived`;
    }
  }

  async function callOf(method: 'both' | 'wrappedAgain' | 'overridden') {
    const app = await Test.createTestingModule({ imports: [TallyModule], providers: [Derived] }).compile();
    await app.get(Derived)[method]();
    return app.get<TallyService>(TALLY).calls.at(-1)!;
  }

  it('of decorators above and below stands on the method', async () => {
    expect(Reflect.getMetadata('above', Base.prototype.both)).toBe(1);
    expect(Reflect.getMetadata('below', Base.prototype.both)).toBe(2);
    const call = await callOf('both');
    expect([Reflect.getMetadata('above', call.fn), Reflect.getMetadata('below', call.fn)]).toEqual([1, 2]);
    expect([call.metadata('above'), call.metadata('below'), call.metadata('none')]).toEqual([1, 2, undefined]);
  });

  it('is found above a third decorator that wraps the method once more', async () => {
    const call = await callOf('wrappedAgain');
    expect([call.metadata('above'), call.metadata('below')]).toEqual([1, 2]);
  });

  it('of an override is not that of the method it overrides', async () => {
    const call = await callOf('overridden');
    expect([call.metadata('above'), call.declaredBy, call.className]).toEqual([undefined, Base, 'Derived']);
  });
});

describe('without the service, no body runs', () => {
  let ran = 0;
  @Injectable()
  class Counter {
    @Tallied()
    async count(): Promise<number> {
      return ++ran;
    }
  }

  async function refusal(call: () => Promise<unknown>): Promise<string> {
    const error: unknown = await call().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(isSluiceError(error, 'SLUICE_NOT_BOUND')).toBe(true);
    expect(ran).toBe(0);
    return (error as Error).message;
  }

  it('an object that Nest never saw', async () => {
    const message = await refusal(() => new Counter().count());
    expect(message).toMatch(/^Counter\.count \(@Tallied\) did not run/);
    expect(message).toContain('SluiceModule');
    expect(message).toContain('bindSluice');
  });

  it('a method called without its object', async () => {
    const { count } = Counter.prototype;
    expect(await refusal(() => Reflect.apply(count, undefined, []))).toContain('without its object');
    expect(await refusal(() => Reflect.apply(count, 'text', []))).toContain('without its object');
    expect(await refusal(() => Reflect.apply(count, Object.create(null), []))).toMatch(/^anonymous\.count/);
  });

  /** Answers any property and any call, as the deep mocks of the testing libraries do. */
  const createMock = (): object =>
    new Proxy(() => undefined, {
      get: (_target, key) => (key === 'then' ? undefined : createMock()),
    });

  it.each([
    ['a deep mock', createMock],
    ['a plain double', () => ({ take: async () => 'mocked' })],
    ['a brand of another service', () => brandService({ take: async () => 'mocked' }, 'test:other')],
  ])('%s, put in by useMocker', async (_title, mock) => {
    const app = await Test.createTestingModule({ providers: [Counter] })
      .useMocker(mock)
      .compile();
    expect(await refusal(() => app.get(Counter).count())).toMatch(/mock.*SluiceTestingModule/);
  });
});

describe('a decoration that cannot work is refused', () => {
  const method = async (): Promise<void> => {};
  const descriptor = (value: unknown): PropertyDescriptor => ({ value, configurable: true });
  class Place {
    readonly name = 'market';
  }

  it.each<[string, unknown[], string]>([
    ['a static method', [Place, 'open', descriptor(method)], '@Tallied on Place.open: a static method'],
    ['a class', [Place], '@Tallied on Place: it decorates methods, not classes'],
    ['a property', [Place.prototype, 'open', undefined], 'not properties or accessors'],
    ['an accessor', [Place.prototype, 'open', { get: method }], 'not properties or accessors'],
    ['a method that is no function', [Place.prototype, 'open', descriptor('text')], 'not properties or accessors'],
    [
      'a generator',
      [
        Place.prototype,
        'open',
        descriptor(function* () {
          yield 1;
        }),
      ],
      'a generator',
    ],
    [
      'an async generator',
      [
        Place.prototype,
        'open',
        descriptor(async function* () {
          yield 1;
        }),
      ],
      'a generator',
    ],
    ["a standard (TC39) decorator's arguments", [method, { kind: 'method', name: 'open' }], 'experimentalDecorators'],
  ])('%s', (_title, args, message) => {
    let error: unknown;
    try {
      Reflect.apply(untyped(), undefined, args);
    } catch (thrown) {
      error = thrown;
    }
    expect(isSluiceError(error, 'SLUICE_BAD_DECORATION')).toBe(true);
    expect((error as Error).message).toContain(message);
  });
});
