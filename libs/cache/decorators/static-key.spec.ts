import { describe, expect, it } from '@jest/globals';
import { runInThisContext } from 'node:vm';
import { CacheEvict } from './cache-evict.decorator.js';
import { CachePut } from './cache-put.decorator.js';
import { CacheStampedeSafe } from './cache-stampede-safe.decorator.js';

const refused = (message: string): unknown =>
  expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) });

/** Decorates a method of a class as the compiler does. */
function decorate(method: (...args: never[]) => unknown, options: { key: string }): void {
  class Users {
    readonly name = 'users';
  }
  const descriptor = { value: method, configurable: true, writable: true };
  (CacheStampedeSafe(options) as MethodDecorator)(Users.prototype, 'user', descriptor as never);
}

describe('a static key', () => {
  const computed = {
    async ['user()'](id = '1') {
      return id;
    },
  };

  it.each<[string, (...args: never[]) => unknown]>([
    ['a parameter', { user: async (id: string) => id }.user],
    ['a parameter with a default value', { user: async (id = '1') => id }.user],
    ['rest parameters', { user: async (...ids: string[]) => ids }.user],
    ['a computed name and a default value', computed['user()']],
  ])('is refused on a method with %s', (_, method) => {
    expect(() => {
      decorate(method, { key: 'user' });
    }).toThrow(refused('@CacheStampedeSafe options.key of Users.user must be a function of the arguments'));
  });

  it('is accepted on a method without parameters', () => {
    const { all, plain } = {
      async all() {
        return 'all';
      },
      plain: async () => 'all',
    };
    const name = Symbol.for('all');
    const named = {
      async [Symbol.for('all')]() {
        return 'all';
      },
      async ['all (of them)']() {
        return 'all';
      },
      async 'all(1)'() {
        return 'all';
      },
    };
    const { [name]: bySymbol, ['all (of them)']: byText, ['all(1)']: quoted } = named;
    // The compiler of the specs drops comments.
    const { noted } = runInThisContext('({ async /* (all) */ noted(/* none */) {} })') as { noted: () => unknown };
    for (const method of [all, plain, bySymbol!, byText, quoted, noted]) {
      expect(() => {
        decorate(method, { key: 'users' });
      }).not.toThrow();
    }
  });

  it.each(['user:{0}', 'user:${id}', 'user:#id'])('with a placeholder, %s, is refused on every decorator', (key) => {
    const placeholders = refused('placeholders in a text are not filled in');
    expect(() => CacheStampedeSafe({ key })).toThrow(placeholders);
    expect(() => CacheEvict({ key })).toThrow(placeholders);
    expect(() => CachePut({ key })).toThrow(placeholders);
  });
});

describe('a standard (TC39) decorator', () => {
  it.each([
    ['@CacheStampedeSafe', CacheStampedeSafe({ key: 'k' })],
    ['@CacheEvict', CacheEvict({ key: 'k' })],
    ['@CachePut', CachePut({ key: 'k' })],
  ])('is refused by %s with what to compile with', (_name, decorator) => {
    const method = async (): Promise<void> => Promise.resolve();
    expect(() => {
      Reflect.apply(decorator as (...args: unknown[]) => void, undefined, [method, { kind: 'method', name: 'user' }]);
    }).toThrow(/: compile with TypeScript's experimentalDecorators/);
  });
});
