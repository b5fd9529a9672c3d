/** Compile-only: what the types of @WithLock accept and refuse. */
import { type Lock, type LockService, WithLock } from '../../libs/lock/index.js';

interface Order {
  readonly id: string;
}

declare function done(...used: unknown[]): Promise<void>;

export class Accepted {
  private readonly region = 'eu';

  @WithLock('daily')
  async plain(): Promise<number> {
    await done();
    return 1;
  }

  @WithLock((order: Order) => `order:${order.id}`, { ttlMs: 1_000, waitMs: 0, renew: false, owner: 'me' })
  async byArgument(order: Order, note: string): Promise<void> {
    return done(order, note);
  }

  @WithLock(function (this: Accepted, id: string) {
    return `${this.region}:${id}`;
  })
  async usesThis(id: string): Promise<void> {
    return done(id);
  }

  @WithLock('daily', { onBusy: 'skip' })
  async skips(): Promise<string | undefined> {
    await done();
    return this.region;
  }

  @WithLock('daily', { onBusy: 'throw', oncePerTick: true })
  async throws(): Promise<string> {
    await done();
    return this.region;
  }

  @WithLock('daily', { onBusy: (error) => error.waitedMs })
  async answers(): Promise<number> {
    await done();
    return 1;
  }

  @WithLock('daily', { onBusy: async ({ holder }) => holder?.process })
  async answersLater(): Promise<string | undefined> {
    await done();
    return this.region;
  }
}

export class Refused {
  // @ts-expect-error skipping returns undefined, which the promise does not allow
  @WithLock('daily', { onBusy: 'skip' })
  async skips(): Promise<string> {
    await done();
    return '';
  }

  // @ts-expect-error what onBusy returns is not what the promise allows
  @WithLock('daily', { onBusy: () => 'busy' })
  async answers(): Promise<number> {
    await done();
    return 1;
  }

  // @ts-expect-error an unknown option
  @WithLock('daily', { ttl: 5 })
  async typo(): Promise<void> {
    return done();
  }

  // @ts-expect-error the key function takes another type
  @WithLock((order: Order) => order.id)
  async otherType(id: number): Promise<void> {
    return done(id);
  }

  // @ts-expect-error a sync method
  @WithLock('daily')
  sync(): number {
    return 1;
  }
}

export async function uses(locks: LockService): Promise<void> {
  const number: number = await locks.withLock('x', () => 1);
  const text: string = await locks.withLock('x', { waitMs: 0 }, async (lock: Lock) => lock.name);
  const lock: Lock | null = await locks.tryAcquire('x', { ttlMs: 5 });
  // @ts-expect-error it never waits
  await locks.tryAcquire('x', { waitMs: 5 });
  // @ts-expect-error it may be null
  lock.assertHeld();
  await using held = await locks.acquire('x');
  await done(number, text, held.fencingToken);
}
