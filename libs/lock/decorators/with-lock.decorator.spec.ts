import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Cron, Interval, ScheduleModule, Timeout } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { REDIS_CONNECTIONS, SluiceRedisModule, type RedisConnections } from '../../redis/index.js';
import { LockTimeoutError, SluiceLockModule, WithLock, currentLock, type WithLockOptions } from '../index.js';

const bed = new LockBed();

describe('a locked method', () => {
  const boom = new Error('of the body');

  @Injectable()
  class Shop {
    readonly tenant = 'acme';
    running = 0;
    most = 0;

    @WithLock('plain')
    async plain(): Promise<string | undefined> {
      this.most = Math.max(this.most, ++this.running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      this.running--;
      return currentLock()?.name;
    }

    @WithLock(function (this: Shop, id: number) {
      return `${this.tenant}:${id}`;
    })
    async byArgument(id: number): Promise<string | undefined> {
      return `${id} under ${currentLock()?.name ?? 'none'}`;
    }

    @WithLock('plain')
    async fails(): Promise<void> {
      throw boom;
    }

    @WithLock('outer', { onBusy: 'skip' })
    async nested(): Promise<void> {
      await this.busyInside();
    }

    @WithLock('taken', { waitMs: 0 })
    async busyInside(): Promise<void> {
      throw new Error('unreachable');
    }

    @WithLock(() => undefined as unknown as string)
    async noName(): Promise<boolean> {
      return true;
    }
  }

  it('runs one at a time in the fleet, under the lock it names', async () => {
    const [a, b] = [await bed.boot(Shop), await bed.boot(Shop)];
    const results = await Promise.all([a, b, a, b, a].map((shop) => shop.plain()));
    expect(results).toEqual(Array.from({ length: 5 }, () => 'plain'));
    expect([a.most, b.most]).toEqual([1, 1]);
    expect(await a.byArgument(7)).toBe('7 under acme:7');
    expect([await bed.admin.exists('lock:plain'), await bed.admin.exists('lock:acme:7')]).toEqual([0, 0]);
  });

  it('lets errors of the body pass, and releases', async () => {
    const shop = await bed.boot(Shop);
    await expect(shop.fails()).rejects.toBe(boom);
    await expect(shop.plain()).resolves.toBe('plain');
  });

  it("does not take a nested lock's error for its own", async () => {
    const shop = await bed.boot(Shop);
    await bed.occupy('taken');
    await expect(shop.nested()).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT', lock: 'taken' });
  });

  it('does not run without a name', async () => {
    const shop = await bed.boot(Shop);
    await expect(shop.noName()).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
  });
});

describe('when the lock stays busy', () => {
  @Injectable()
  class Policies {
    ran = 0;

    @WithLock('x', { waitMs: 5 })
    async throws(): Promise<void> {
      this.ran++;
    }

    @WithLock('x', { waitMs: 5, onBusy: 'skip' })
    async skips(): Promise<string | undefined> {
      this.ran++;
      return 'ran';
    }

    @WithLock('x', { waitMs: 5, onBusy: (error) => `instead of ${error.lock}` })
    async answers(): Promise<string> {
      this.ran++;
      return 'ran';
    }

    @Interval(100_000)
    @WithLock('x')
    async interval(): Promise<void> {
      this.ran++;
    }

    @WithLock('x')
    @Timeout(100_000)
    async timeout(): Promise<void> {
      this.ran++;
    }

    @Interval(100_000)
    @WithLock('x', { onBusy: 'throw', waitMs: 30 })
    async toldOtherwise(): Promise<void> {
      this.ran++;
    }

    @Cron('0 0 1 1 *')
    @WithLock('x', { waitMs: 5 })
    async byHand(): Promise<void> {
      this.ran++;
    }

    @Cron('0 0 1 1 *')
    @WithLock('x', { oncePerTick: false })
    async everyInstance(): Promise<void> {
      this.ran++;
    }
  }

  it('does as told', async () => {
    const policies = await bed.boot(Policies);
    await bed.occupy('x');
    await expect(policies.throws()).rejects.toBeInstanceOf(LockTimeoutError);
    expect(await policies.skips()).toBeUndefined();
    expect(await policies.answers()).toBe('instead of x');
    await expect(policies.byHand()).rejects.toMatchObject({ waitedMs: 5 });
    expect(policies.ran).toBe(0);
    await bed.admin.del('lock:x');
    expect(await policies.skips()).toBe('ran');
    expect(await policies.answers()).toBe('ran');
  });

  it('skips what a scheduler calls, without waiting, unless told otherwise', async () => {
    const policies = await bed.boot(Policies);
    await bed.occupy('x');
    const from = performance.now();
    await policies.interval();
    await policies.timeout();
    await policies.everyInstance();
    // By default, each would wait for 10 s.
    expect(performance.now() - from).toBeLessThan(8_000);
    await expect(policies.toldOtherwise()).rejects.toMatchObject({ waitedMs: 30 });
    expect(policies.ran).toBe(0);
    await bed.admin.del('lock:x');
    await policies.timeout();
    await policies.everyInstance();
    await policies.everyInstance();
    expect(policies.ran).toBe(3);
    await policies.interval();
    await policies.interval();
    expect(policies.ran).toBe(4);
    const leftMs = await bed.admin.pttl('lock:x');
    expect(leftMs).toBeGreaterThan(80_000);
    expect(leftMs).toBeLessThanOrEqual(90_000);
  });

  it('runs an @Interval once per interval in the fleet, whenever its instances started', async () => {
    const ran: number[] = [];

    @Injectable()
    class Job {
      @Interval(300)
      @WithLock('job')
      async run(): Promise<void> {
        ran.push(currentLock()!.fencingToken);
      }
    }
    for (let i = 0; i < 3; i++) {
      await bed.boot(Job, [ScheduleModule.forRoot()]);
      await new Promise((resolve) => setTimeout(resolve, 70));
    }
    await until(() => ran.length >= 6, { what: 'it ran six times' });
    // Tokens are the server's microseconds: each lock is kept for 270 ms from its grant.
    ran.sort((a, b) => a - b);
    for (let i = 1; i < 6; i++) expect(ran[i]! - ran[i - 1]!).toBeGreaterThan(268_000);
  });
});

describe('options', () => {
  it.each([
    ['', {}, 'SLUICE_BAD_NAME', 'lock name'],
    [undefined, {}, 'SLUICE_BAD_NAME', 'lock name'],
    ['x', { ttlMs: 0 }, 'SLUICE_BAD_OPTION', "@WithLock('x').ttlMs"],
    ['x', { onBusy: 'wait' }, 'SLUICE_BAD_OPTION', "@WithLock('x').onBusy"],
    ['x', { oncePerTick: 1 }, 'SLUICE_BAD_OPTION', "@WithLock('x').oncePerTick"],
    ['x', { signal: new AbortController().signal }, 'SLUICE_BAD_OPTION', "@WithLock('x').signal"],
  ])('refuses %p with %p when the class is defined', (name, options, code, message) => {
    const define = (): unknown => {
      class Refused {
        @WithLock(name as string, options as WithLockOptions & { onBusy: 'throw' })
        async method(): Promise<boolean> {
          return true;
        }
      }
      return Refused;
    };
    expect(define).toThrow(message);
    expect(define).toThrow(expect.objectContaining({ code }));
  });

  it('refuses once per tick without a tick, at boot', async () => {
    @Injectable()
    class NoCron {
      @WithLock('x', { oncePerTick: true })
      async method(): Promise<boolean> {
        return true;
      }
    }
    const imports = [SluiceRedisModule.forRoot({ redis: { url: bed.redis.url } }), SluiceLockModule.forRoot({})];
    const refused = await Test.createTestingModule({ imports, providers: [NoCron] }).compile();
    await expect(refused.init()).rejects.toThrow('NoCron.method: oncePerTick is for methods with @Cron');
    await refused.get<RedisConnections>(REDIS_CONNECTIONS).onApplicationShutdown();
    @Injectable()
    class WithCron {
      @Cron('0 0 1 1 *')
      @WithLock('x', { oncePerTick: true })
      async method(): Promise<boolean> {
        return true;
      }
    }
    await expect(bed.boot(WithCron)).resolves.toBeDefined();
  });
});
