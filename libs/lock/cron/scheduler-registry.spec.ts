import { describe, expect, it } from '@jest/globals';
import { Injectable, Module, mixin, type DynamicModule, type Type } from '@nestjs/common';
import { Cron, ScheduleModule } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { SluiceLockModule, WithLock } from '../index.js';

const bed = new LockBed();
const schedule = [ScheduleModule.forRoot()];

/** What Nest itself asks of every provider. */
const isOfNest = (key: string | symbol): boolean => /^(then|constructor|on[A-Z].*|before[A-Z].*)$/.test(String(key));

/** A provider like those of nestjs-cls: a Proxy that throws for the properties of its value before that is there. */
const throwing = (): unknown =>
  new Proxy(() => {}, {
    get: (_target, key) => {
      if (!['getCronJobs', 'addCronJob', 'doesExist'].includes(String(key))) return undefined;
      throw new Error(`Cannot access the property "${String(key)}" on the Proxy provider CLS_REQ`);
    },
  });

/** A provider like createMock's: it answers every property with a function. */
const answering = (): unknown =>
  new Proxy({}, { get: (_target, key) => (isOfNest(key) ? undefined : () => undefined) });

@Module({})
class Neighbour {}

/** A module with one provider, to be imported before or after the scheduler's. */
const moduleOf = (name: string, useFactory: () => unknown): DynamicModule => {
  return { module: Neighbour, providers: [{ provide: name, useFactory }] };
};

/** Boots an app that cannot boot, closes it, and returns the error. */
async function failureOf(imports: DynamicModule[], providers: Type[]): Promise<unknown> {
  const redis = SluiceRedisModule.forRoot({ redis: { url: bed.redis.url } });
  const app = await Test.createTestingModule({
    imports: [redis, SluiceLockModule.forRoot({}), ...imports],
    providers,
  }).compile();
  try {
    return await app.init().then(
      () => 'it booted',
      (error: unknown) => error,
    );
  } finally {
    await app.close();
  }
}

@Injectable()
class EverySecond {
  runs: number[] = [];

  @Cron('* * * * * *')
  @WithLock('every-second')
  async run(): Promise<void> {
    this.runs.push(Math.floor(Date.now() / 1_000));
  }
}

describe('the jobs of the scheduler', () => {
  it.each([
    ['throw for any property', throwing, 'before'],
    ['throw for any property', throwing, 'after'],
    ['answer any property', answering, 'before'],
    ['answer any property', answering, 'after'],
  ])('are found beside providers that %s: %s, imported %s', async (_name, make, order) => {
    const neighbour = moduleOf('neighbour', make);
    const imports = order === 'before' ? [neighbour, ...schedule] : [...schedule, neighbour];
    const fleet = [await bed.boot(EverySecond, imports), await bed.boot(EverySecond, imports)];
    const runs = (): number[] => fleet.flatMap((each) => each.runs);
    await until(() => runs().length >= 2, { what: 'two ticks ran' });
    expect(new Set(runs()).size).toBe(runs().length);
  });

  it('fail the boot when they cannot be found', async () => {
    const providers = [{ provide: 'SCHEDULE_MODULE_OPTIONS', useValue: {} }];
    const unknown = { module: Neighbour, providers };
    expect(await failureOf([unknown], [EverySecond])).toMatchObject({ code: 'SLUICE_CRON_UNKNOWN' });
  });
});

describe('a class whose name nobody gave', () => {
  const mixed = (): Type<{ runs: number[] }> => mixin(class extends EverySecond {});

  it('runs once per tick, although the class has another name in each process', async () => {
    const fleet = [await bed.boot(mixed(), schedule), await bed.boot(mixed(), schedule)];
    const runs = (): number[] => fleet.flatMap((each) => each.runs);
    await until(() => runs().length >= 2, { what: 'two ticks ran' });
    expect(new Set(runs()).size).toBe(runs().length);
    expect(await bed.admin.keys('*:~tick:*')).toEqual(['{lock:every-second}:~tick:.run']);
  });

  it('fails the boot when another class would share its ticks', async () => {
    const failure = await failureOf(schedule, [mixed(), mixed()]);
    expect(failure).toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    expect(String(failure)).toContain("@WithLock('every-second')");
  });
});
