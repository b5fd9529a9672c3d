import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, type ModuleMetadata } from '@nestjs/common';
import { Cron, Interval, ScheduleModule, SchedulerRegistry, Timeout } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { CronTime } from 'cron';
import { Redis } from 'ioredis';
import { lockMember, type LockMember } from '../../test/support/lock-member.js';
import { until } from '../../test/support/until.js';
import { REDIS_CONNECTIONS, SluiceRedisModule, type RedisConnections } from '../redis/index.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { LockTimeoutError, SluiceLockModule, WithLock, currentLock, type WithLockOptions } from './index.js';

let redis: RedisServer;
let admin: Redis;
const members: LockMember[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterEach(async () => {
  await Promise.all(members.splice(0).map(({ app }) => app.close()));
  await admin.flushall();
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

async function boot<T>(provider: new () => T, imports: ModuleMetadata['imports'] = []): Promise<T> {
  const joined = await lockMember(redis.url, { module: { imports, providers: [provider] } });
  members.push(joined);
  return joined.app.get(provider);
}

/** Someone else holds the lock. */
const occupy = (name: string): Promise<unknown> => admin.set(`lock:${name}`, 'somebody', 'PX', 60_000);

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
    const [a, b] = [await boot(Shop), await boot(Shop)];
    const results = await Promise.all([a, b, a, b, a].map((shop) => shop.plain()));
    expect(results).toEqual(Array.from({ length: 5 }, () => 'plain'));
    expect([a.most, b.most]).toEqual([1, 1]);
    expect(await a.byArgument(7)).toBe('7 under acme:7');
    expect(await admin.exists('lock:plain', 'lock:acme:7')).toBe(0);
  });

  it('lets errors of the body pass, and releases', async () => {
    const shop = await boot(Shop);
    await expect(shop.fails()).rejects.toBe(boom);
    await expect(shop.plain()).resolves.toBe('plain');
  });

  it("does not take a nested lock's error for its own", async () => {
    const shop = await boot(Shop);
    await occupy('taken');
    await expect(shop.nested()).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT', lock: 'taken' });
  });

  it('does not run without a name', async () => {
    const shop = await boot(Shop);
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
    const policies = await boot(Policies);
    await occupy('x');
    await expect(policies.throws()).rejects.toBeInstanceOf(LockTimeoutError);
    expect(await policies.skips()).toBeUndefined();
    expect(await policies.answers()).toBe('instead of x');
    await expect(policies.byHand()).rejects.toMatchObject({ waitedMs: 5 });
    expect(policies.ran).toBe(0);
    await admin.del('lock:x');
    expect(await policies.skips()).toBe('ran');
    expect(await policies.answers()).toBe('ran');
  });

  it('skips what a scheduler calls, without waiting, unless told otherwise', async () => {
    const policies = await boot(Policies);
    await occupy('x');
    const from = performance.now();
    await policies.interval();
    await policies.timeout();
    await policies.everyInstance();
    expect(performance.now() - from).toBeLessThan(1_000);
    await expect(policies.toldOtherwise()).rejects.toMatchObject({ waitedMs: 30 });
    expect(policies.ran).toBe(0);
    await admin.del('lock:x');
    await policies.interval();
    await policies.timeout();
    await policies.everyInstance();
    await policies.everyInstance();
    expect(policies.ran).toBe(4);
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
    const imports = [SluiceRedisModule.forRoot({ redis: { url: redis.url } }), SluiceLockModule.forRoot({})];
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
    await expect(boot(WithCron)).resolves.toBeDefined();
  });
});

describe('@Cron', () => {
  const schedule = [ScheduleModule.forRoot()];

  it('runs a job that is over in no time once per tick', async () => {
    @Injectable()
    class Job {
      runs: number[] = [];

      @Cron('* * * * * *')
      @WithLock('job')
      async run(): Promise<void> {
        this.runs.push(Math.floor(Date.now() / 1_000));
      }
    }
    const jobs = [await boot(Job, schedule), await boot(Job, schedule), await boot(Job, schedule)];
    const runs = (): number[] => jobs.flatMap((job) => job.runs);
    await until(() => runs().length >= 3, { what: 'three ticks ran' });
    expect(new Set(runs()).size).toBe(runs().length);
    const mark = await admin.pttl('{lock:job}:~tick:Job.run');
    expect(mark).toBeGreaterThan(9_000);
    expect(mark).toBeLessThanOrEqual(11_000);
  });

  it('counts the methods that share a lock one by one', async () => {
    @Injectable()
    class Jobs {
      ran: string[] = [];

      @WithLock('shared', { oncePerTick: true })
      @Cron('* * * * * *', { disabled: true })
      async first(): Promise<void> {
        this.ran.push('first');
      }

      @WithLock('shared')
      @Cron('* * * * * *', { disabled: true })
      async second(): Promise<void> {
        this.ran.push('second');
      }
    }
    const fleet = [await boot(Jobs, schedule), await boot(Jobs, schedule)];
    // Near the beginning of a second, every call stands for that tick.
    await until(() => Date.now() % 1_000 < 100, { what: 'a second begins', everyMs: 1 });
    for (const jobs of fleet) {
      await jobs.first();
      await jobs.second();
      await jobs.first();
    }
    expect(fleet.flatMap(({ ran }) => ran)).toEqual(['first', 'second']);
  });

  it('follows a named job whose time was changed while it runs', async () => {
    @Injectable()
    class Changed {
      runs: number[] = [];

      @Cron('0 0 1 1 *', { name: 'changed' })
      @WithLock('changed')
      async run(): Promise<void> {
        this.runs.push(Math.floor(Date.now() / 1_000));
      }
    }
    const fleet = [await boot(Changed, schedule), await boot(Changed, schedule)];
    for (const { app } of members)
      app.get(SchedulerRegistry).getCronJob('changed').setTime(new CronTime('* * * * * *'));
    const runs = (): number[] => fleet.flatMap((each) => each.runs);
    await until(() => runs().length >= 2, { what: 'two ticks ran' });
    expect(new Set(runs()).size).toBe(runs().length);
  });

  it('is an ordinary locked call by hand, far from any tick, and where nothing is scheduled', async () => {
    @Injectable()
    class Yearly {
      ran = 0;

      @Cron('0 0 1 1 *')
      @WithLock('yearly', { waitMs: 500 })
      async run(): Promise<number> {
        return ++this.ran;
      }

      @Cron('* * * * * *')
      @WithLock('yearly', { waitMs: 500 })
      async each(): Promise<number> {
        return ++this.ran;
      }
    }
    const scheduled = await boot(Yearly, [ScheduleModule.forRoot({ cronJobs: false })]);
    expect([await scheduled.run(), await scheduled.each(), await scheduled.each()]).toEqual([1, 2, 3]);
    const unscheduled = await boot(Yearly);
    expect([await unscheduled.each(), await unscheduled.each()]).toEqual([1, 2]);
    await occupy('yearly');
    await expect(unscheduled.run()).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
  });

  it('refuses to guess when a nameless job was changed', async () => {
    @Injectable()
    class Changed {
      ran = 0;

      @Cron('0 0 1 1 *')
      @WithLock('changed')
      async run(): Promise<void> {
        this.ran++;
      }
    }
    const changed = await boot(Changed, schedule);
    const [job] = members[0]!.app.get(SchedulerRegistry).getCronJobs().values();
    const errors: unknown[] = [];
    job!.addCallback(() => {
      changed.run().catch((error: unknown) => errors.push(error));
    });
    job!.setTime(new CronTime('* * * * * *'));
    await until(() => errors.length > 0, { what: 'a call was refused' });
    void job!.stop();
    expect(errors[0]).toMatchObject({ code: 'SLUICE_CRON_UNKNOWN' });
    expect(String(errors[0])).toContain('Give it a name');
    expect(changed.ran).toBe(0);
  });

  it('refuses to guess when the jobs cannot be found', async () => {
    @Injectable()
    class Unknown {
      @Cron('* * * * * *')
      @WithLock('unknown')
      async run(): Promise<string> {
        return 'ran';
      }
    }
    const joined = await lockMember(redis.url, {
      module: { providers: [Unknown, { provide: 'SCHEDULE_MODULE_OPTIONS', useValue: {} }] },
    });
    members.push(joined);
    await expect(joined.app.get(Unknown).run()).rejects.toMatchObject({ code: 'SLUICE_CRON_UNKNOWN' });
  });

  it('skips a run that comes more than a day late', async () => {
    @Injectable()
    class Late {
      ran = 0;

      @Cron('0 0 1 1 *', { name: 'late' })
      @WithLock('late')
      async run(): Promise<number> {
        return ++this.ran;
      }
    }
    const late = await boot(Late, schedule);
    expect(await late.run()).toBe(1);
    // As the scheduler does before it calls: this job fires now, and new year was not yesterday.
    Object.assign(members[0]!.app.get(SchedulerRegistry).getCronJob('late'), { lastExecution: new Date() });
    expect(await late.run()).toBeUndefined();
    expect(late.ran).toBe(1);
  });

  it('skips a tick that finds the last run still going', async () => {
    @Injectable()
    class Slow {
      runs = 0;
      end!: () => void;

      @Cron('* * * * * *')
      @WithLock('slow')
      run(): Promise<void> {
        this.runs++;
        return new Promise((resolve) => (this.end = resolve));
      }
    }
    const slow = await boot(Slow, schedule);
    await until(() => slow.runs === 1, { what: 'it runs' });
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(slow.runs).toBe(1);
    slow.end();
    await until(() => slow.runs === 2, { what: 'it runs again' });
    await members[0]!.app.close();
  });
});
