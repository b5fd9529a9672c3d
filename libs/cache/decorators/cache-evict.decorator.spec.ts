import { describe, expect, it } from '@jest/globals';
import { Injectable, type INestApplicationContext, type Provider } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheBed, keysLeft } from '../../../test/support/cache-bed.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { CacheEvict } from './cache-evict.decorator.js';
import { CachePut } from './cache-put.decorator.js';
import { CacheStampedeSafe } from './cache-stampede-safe.decorator.js';
import { SluiceCacheModule } from '../cache.module.js';
import type { SluiceCacheModuleOptions } from '../cache.options.js';
import { CacheService } from '../cache.service.js';

const bed = new CacheBed();

async function using<T>(
  providers: Provider[],
  work: (app: INestApplicationContext) => Promise<T>,
  options: SluiceCacheModuleOptions = {},
): Promise<T> {
  const module = await Test.createTestingModule({
    imports: [
      SluiceRedisModule.forRoot({ namespace: 'shop', redis: { url: bed.redis.url } }),
      SluiceCacheModule.forRootAsync({ useFactory: () => options }),
    ],
    providers,
  }).compile();
  const app = await module.init();
  try {
    return await work(app);
  } finally {
    await app.close();
  }
}

interface User {
  id: string;
  team: string;
}

@Injectable()
class Users {
  readonly stored = new Map<string, User>();
  readonly tenant = 'acme';
  loads = 0;

  @CacheStampedeSafe({ key: (id: string) => `user:${id}`, resultTags: (user: User) => [`team:${user.team}`] })
  async find(id: string): Promise<User> {
    this.loads++;
    return this.stored.get(id) ?? { id, team: 'none' };
  }

  @CacheStampedeSafe({
    key: (id: string) => `some:${id}`,
    when: (id: string, fresh?: boolean) => !fresh && id !== 'never',
    unless: (user: User) => user.team === 'secret',
  })
  async some(id: string, fresh = false): Promise<User> {
    this.loads++;
    return { id, team: fresh || id === 's' ? 'secret' : 'open' };
  }

  @CacheEvict({ key: (user: User) => `user:${user.id}` })
  async save(user: User): Promise<void> {
    if (user.team === 'refused') throw new TypeError('refused');
    this.stored.set(user.id, user);
    return Promise.resolve();
  }

  @CacheEvict({
    key(this: Users, ...ids: string[]) {
      return ids.map((id) => `user:${id}`);
    },
    tags: ['users'],
    resultTags: (teams: string[]) => teams.map((team) => `team:${team}`),
    when: (first: string) => first !== 'dry',
    unless: (teams: string[]) => teams.length === 0,
  })
  async move(...ids: string[]): Promise<string[]> {
    return Promise.resolve(ids.length > 1 ? ['red'] : []);
  }

  @CacheEvict({ tags: (team: string) => [`team:${team}`], before: true })
  async disband(team: string): Promise<string> {
    return Promise.reject(new TypeError(team));
  }

  @CachePut({ key: (user: User) => `user:${user.id}`, ttlMs: 5_000, resultTags: (user: User) => [`team:${user.team}`] })
  async create(user: User): Promise<User> {
    user.id ||= 'made';
    return Promise.resolve(user);
  }

  @CachePut({ key: () => 'put', when: (on: boolean) => on, unless: (value: number) => value < 0 })
  async put(_on: boolean, value: number): Promise<number> {
    return Promise.resolve(value);
  }

  @CacheEvict({ key: 'list' })
  @CachePut({ key: (n: number) => `item:${n}` })
  async both(n: number): Promise<number> {
    return Promise.resolve(n);
  }
}

@Injectable()
class Catalog {
  loads = 0;

  @CacheStampedeSafe({ key: 'catalog', version: 'v2' })
  async read(): Promise<number> {
    return Promise.resolve(++this.loads);
  }

  @CacheEvict({ key: 'catalog', version: 'v2' })
  async change(): Promise<void> {
    return Promise.resolve();
  }

  @CachePut({ key: 'catalog', version: 'v2' })
  async replace(value: number): Promise<number> {
    return Promise.resolve(value);
  }

  @CacheEvict({ key: (id?: string) => id as string })
  async forget(_id?: string): Promise<void> {
    return Promise.resolve();
  }

  @CacheEvict({ tags: (tags?: string[]) => tags as string[], resultTags: (tags: unknown) => tags as string[] })
  async untag(_tags?: string[], more?: unknown): Promise<unknown> {
    return Promise.resolve(more);
  }
}

describe('a static key, and a version', () => {
  it('are those of every call, whatever decorator they stand on', () =>
    using([Catalog], async (app) => {
      const catalog = app.get(Catalog);
      expect([await catalog.read(), await catalog.read()]).toEqual([1, 1]);
      await catalog.change();
      expect(await catalog.read()).toBe(2);
      await catalog.replace(7);
      expect(await catalog.read()).toBe(7);
      expect(await keysLeft(bed.admin)).toEqual(['{shop:cache}~v:v2:catalog']);
    }));

  it('take what configuration says of the method', () =>
    using(
      [Catalog],
      async (app) => {
        await app.get(CacheService).set('catalog', 1, { version: 'v3' });
        await app.get(Catalog).change();
        expect(await keysLeft(bed.admin)).toEqual([]);
      },
      { methods: { 'Catalog.change': { version: 'v3' } } },
    ));
});

describe('@CacheEvict', () => {
  it('refuses what is no key and no tag, rather than evict nothing', () =>
    using([Catalog], async (app) => {
      const catalog = app.get(Catalog);
      await expect(catalog.forget()).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
      await expect(catalog.untag(undefined, [])).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
      await expect(catalog.untag([])).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
      await expect(catalog.untag(['a'], ['b'])).resolves.toEqual(['b']);
    }));

  it('evicts after success, and not after a failure', () =>
    using([Users], async (app) => {
      const users = app.get(Users);
      await users.find('7');
      await expect(users.save({ id: '7', team: 'refused' })).rejects.toThrow('refused');
      await users.find('7');
      expect(users.loads).toBe(1);
      await users.save({ id: '7', team: 'red' });
      expect(await users.find('7')).toEqual({ id: '7', team: 'red' });
    }));

  it('evicts several keys, tags, and tags of the result, when and unless it is told', () =>
    using([Users], async (app) => {
      const [users, cache] = [app.get(Users), app.get(CacheService)];
      const fill = async (): Promise<void> => {
        await cache.set('user:1', 1);
        await cache.set('user:2', 2);
        await cache.set('tagged', 3, { tags: ['users'] });
        await cache.set('red', 4, { tags: ['team:red'] });
      };
      const left = (): Promise<unknown[]> => cache.getMany(['user:1', 'user:2', 'tagged', 'red']);
      await fill();
      await users.move('dry', '1', '2');
      await users.move('1');
      expect(await left()).toEqual([1, 2, 3, 4]);
      await users.move('1', '2');
      expect(await left()).toEqual([undefined, undefined, undefined, undefined]);
    }));

  it('evicts before the method on demand, so also if that fails', () =>
    using([Users], async (app) => {
      const [users, cache] = [app.get(Users), app.get(CacheService)];
      await cache.set('k', 1, { tags: ['team:red'] });
      await expect(users.disband('red')).rejects.toThrow('red');
      expect(await cache.get('k')).toBeUndefined();
    }));

  it('finds by tags what the result of a load named', () =>
    using([Users], async (app) => {
      const users = app.get(Users);
      users.stored.set('7', { id: '7', team: 'red' });
      await users.find('7');
      await expect(users.disband('red')).rejects.toThrow('red');
      await users.find('7');
      expect(users.loads).toBe(2);
    }));

  it('rejects when Redis does not confirm, after the method has done its work', async () => {
    await using([Users], async (app) => {
      const users = app.get(Users);
      await bed.admin.call('CONFIG', 'SET', 'min-replicas-to-write', '1');
      try {
        await expect(users.save({ id: '7', team: 'red' })).rejects.toThrow('NOREPLICAS');
        await expect(users.create({ id: '7', team: 'red' })).rejects.toThrow('NOREPLICAS');
      } finally {
        await bed.admin.call('CONFIG', 'SET', 'min-replicas-to-write', '0');
      }
      expect(users.stored.get('7')).toEqual({ id: '7', team: 'red' });
    });
  });

  it.each<[string, object]>([
    ['nothing to evict', {}],
    ['an unknown option', { key: () => 'k', al: true }],
    ['a key that is none', { key: '' }],
    ['a version that is none', { key: 'k', version: '' }],
    ['an empty tag', { tags: [''] }],
    ['a result before the method', { tags: ['t'], before: true, unless: () => true }],
  ])('refuses %s', (_what, options) => {
    expect(() => CacheEvict(options)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
  });
});

describe('@CachePut', () => {
  it('stores what the method returned, under a key that may be known only then', () =>
    using([Users], async (app) => {
      const users = app.get(Users);
      const user = { id: '', team: 'red' };
      expect(await users.create(user)).toBe(user);
      expect(await users.find('made')).toEqual({ id: 'made', team: 'red' });
      expect(users.loads).toBe(0);
      expect(await bed.admin.pttl('{shop:cache}:user:made')).toBeLessThanOrEqual(5_000);
      await expect(users.disband('red')).rejects.toThrow();
      await users.find('made');
      expect(users.loads).toBe(1);
    }));

  it('stores when and unless it is told', () =>
    using([Users], async (app) => {
      const [users, cache] = [app.get(Users), app.get(CacheService)];
      expect(await users.put(false, 1)).toBe(1);
      expect(await users.put(true, -1)).toBe(-1);
      expect(await cache.get('put')).toBeUndefined();
      expect(await users.put(true, 1)).toBe(1);
      expect(await cache.get('put')).toBe(1);
    }));

  it('takes what configuration says of the method', () =>
    using(
      [Users],
      async (app) => {
        await app.get(Users).create({ id: '1', team: 'x' });
        expect(await bed.admin.pttl('{shop:cache}:user:1')).toBeLessThanOrEqual(700);
      },
      { methods: { 'Users.create': { ttlMs: 700 } } },
    ));

  it('stands with others on one method', () =>
    using([Users], async (app) => {
      const [users, cache] = [app.get(Users), app.get(CacheService)];
      await cache.set('list', [1]);
      expect(await users.both(7)).toBe(7);
      expect(await cache.getMany(['list', 'item:7'])).toEqual([undefined, 7]);
    }));

  it('refuses options that it cannot use', () => {
    for (const options of [
      {},
      { key: 7 },
      { key: 'k', loaderTimeoutMs: 5 },
      { key: () => 'k', when: true },
      { key: () => 'k', ttl: 5 },
    ]) {
      expect(() => CachePut(options as never)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
    }
  });
});

describe('@CacheStampedeSafe', () => {
  it('leaves the cache alone unless `when` holds, and stores nothing that `unless` names', () =>
    using([Users], async (app) => {
      const users = app.get(Users);
      for (let i = 0; i < 2; i++) {
        expect(await users.some('1', true)).toEqual({ id: '1', team: 'secret' });
        expect(await users.some('s', false)).toEqual({ id: 's', team: 'secret' });
        expect(await users.some('1', false)).toEqual({ id: '1', team: 'open' });
      }
      expect(users.loads).toBe(5);
      expect(await keysLeft(bed.admin)).not.toContain('{shop:cache}:some:s');
    }));
});
