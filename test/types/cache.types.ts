/** Compile-only: what the types of the cache accept and refuse. */
import { CacheEvict, CachePut, CacheStampedeSafe, type CacheService } from '../../libs/cache/index.js';

interface User {
  readonly id: string;
}

export abstract class Accepted {
  private readonly tenant = 'acme';

  @CacheStampedeSafe()
  async plain(): Promise<number> {
    return Promise.resolve(1);
  }

  @CacheStampedeSafe({ ttlMs: 1_000 })
  async withoutKey(id: string, deep = false): Promise<User | undefined> {
    return Promise.resolve(deep ? { id } : undefined);
  }

  @CacheStampedeSafe({ key: (id: string) => `user:${id}`, ttlMs: 60_000 })
  async withKey(id: string, note: string): Promise<User> {
    return Promise.resolve({ id: id + note });
  }

  @CacheStampedeSafe({
    key(this: Accepted, id: string) {
      return `${this.tenant}:${id}`;
    },
  })
  async withThis(id: string): Promise<User> {
    return Promise.resolve({ id });
  }
}

export class Refused {
  // @ts-expect-error a sync method
  @CacheStampedeSafe()
  sync(): string {
    return '';
  }

  // @ts-expect-error the key function takes another type
  @CacheStampedeSafe({ key: (user: User) => user.id })
  async otherType(id: string): Promise<string> {
    return Promise.resolve(id);
  }

  // @ts-expect-error the key function needs the object of another class
  @CacheStampedeSafe({
    key(this: Accepted, id: string) {
      return `${typeof this}:${id}`;
    },
  })
  async otherThis(id: string): Promise<string> {
    return Promise.resolve(id);
  }

  // @ts-expect-error a static method
  @CacheStampedeSafe({ key: () => 'k' })
  static async ofClass(): Promise<string> {
    return Promise.resolve('');
  }

  // @ts-expect-error a key is a text
  @CacheStampedeSafe({ key: (id: number) => id })
  async numericKey(id: number): Promise<number> {
    return Promise.resolve(id);
  }
}

export async function service(cache: CacheService): Promise<void> {
  const user: User = await cache.getOrLoad('u', async ({ signal, key }) => {
    signal.throwIfAborted();
    return Promise.resolve({ id: key });
  });
  const sync: number = await cache.getOrLoad('n', () => 1, { ttlMs: 5 });
  const found: User | undefined = await cache.get<User>('u');
  await cache.set('u', [user, sync, found], { ttlMs: 5 });
  const there: boolean = await cache.delete('u');
  // @ts-expect-error no such option
  await cache.set('u', there, { ttl: 5 });
}

export class Writers {
  @CacheEvict({ key: (user: User) => `user:${user.id}`, tags: ['users'], unless: (saved: boolean) => !saved })
  async save(user: User, force: boolean): Promise<boolean> {
    return Promise.resolve(force || user.id !== '');
  }

  @CachePut({ key: (id: string) => id, when: (_id: string, on: boolean) => on, resultTags: (user: User) => [user.id] })
  async put(id: string, _on: boolean): Promise<User> {
    return Promise.resolve({ id });
  }

  @CachePut({ key: (id: string) => id })
  async find(id: string): Promise<User | null | undefined> {
    return Promise.resolve(id === '' ? undefined : { id });
  }

  @CachePut({ key: () => 'k' })
  async untyped(): Promise<unknown> {
    return Promise.resolve(1);
  }

  @CacheStampedeSafe({ key: 'k' })
  async onceInAWhile(): Promise<void> {
    await Promise.resolve();
  }

  @CacheStampedeSafe({
    key: (id: string) => id,
    tags: (id: string, team: string) => [id, team],
    unless: (user: User) => user.id === '',
  })
  async load(id: string, _team: string): Promise<User> {
    return Promise.resolve({ id });
  }

  // @ts-expect-error the key function takes another type
  @CacheEvict({ key: (user: User) => user.id })
  async otherArgument(id: string): Promise<void> {
    await Promise.resolve(id);
  }

  // @ts-expect-error the condition takes a parameter that the method does not have
  @CacheEvict({ key: () => 'k', when: (_id: string, _on: boolean) => true })
  async fewer(id: string): Promise<void> {
    await Promise.resolve(id);
  }

  // @ts-expect-error the result is another one
  @CachePut({ key: () => 'k', unless: (user: User) => user.id === '' })
  async otherResult(): Promise<number> {
    return Promise.resolve(1);
  }

  // @ts-expect-error a put needs a key
  @CachePut({ ttlMs: 5 })
  async keyless(): Promise<number> {
    return Promise.resolve(1);
  }
  // @ts-expect-error there is no result to store
  @CachePut({ key: () => 'k' })
  async noResult(): Promise<void> {
    await Promise.resolve();
  }

  // @ts-expect-error with other functions as well
  @CachePut({ key: (id: string) => id, when: (_id: string, on: boolean) => on, tags: ['t'] })
  async noResultEither(id: string, _on: boolean): Promise<void> {
    await Promise.resolve(id);
  }
}
