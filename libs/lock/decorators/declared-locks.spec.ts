import { describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, type Type } from '@nestjs/common';
import { Cron, Interval, ScheduleModule } from '@nestjs/schedule';
import { LockBed } from '../../../test/support/lock-bed.js';
import { WithLock } from '../index.js';

const bed = new LockBed();

/** What is logged at a boot with these providers, by level. */
async function logged(...providers: Type[]): Promise<Lines> {
  return loggedWith({}, ...providers);
}

interface Lines {
  log: unknown[];
  warn: unknown[];
}

async function loggedWith(lock: object, ...providers: Type[]): Promise<Lines> {
  const lines = { log: [] as unknown[], warn: [] as unknown[] };
  const spies = (['log', 'warn'] as const).map((level) =>
    jest.spyOn(Logger.prototype, level).mockImplementation((line: unknown) => void lines[level].push(line)),
  );
  try {
    await bed.member({ lock, module: { imports: [ScheduleModule.forRoot()], providers } });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  const ours = (line: unknown): boolean => /lock/.test(String(line));
  return { log: lines.log.filter(ours), warn: lines.warn.filter(ours) };
}

@Injectable()
class Jobs {
  @Cron('0 3 * * *', { disabled: true })
  @WithLock('daily_job')
  async settle(): Promise<number> {
    return 0;
  }

  @WithLock('each', { oncePerTick: false })
  @Cron('0 3 * * *', { disabled: true })
  async each(): Promise<number> {
    return 0;
  }

  @Interval(600_000)
  @WithLock('poll')
  async poll(): Promise<number> {
    return 0;
  }

  @WithLock((id: string) => `order:${id}`)
  async ship(_id: string): Promise<number> {
    return 0;
  }

  @WithLock('pay')
  async pay(): Promise<number> {
    return 0;
  }
}

@Injectable()
class Sync {
  @Cron('*/5 * * * *', { disabled: true })
  @WithLock('sync')
  async sync(): Promise<number> {
    return 0;
  }
}

class OrdersSync extends Sync {}
class UsersSync extends Sync {}

describe('an app that boots', () => {
  it('has a line for each locked method', async () => {
    expect(await logged(Jobs)).toEqual({
      log: [
        "lock 'daily_job' is taken by Jobs.settle (once per tick of '0 3 * * *')",
        "lock 'each' is taken by Jobs.each",
        "lock 'poll' is taken by Jobs.poll (every 600000 ms)",
        'a lock, named for each call, is taken by Jobs.ship',
        "lock 'pay' is taken by Jobs.pay",
      ],
      warn: [],
    });
  });

  it('is warned of two methods that need one lock at the same instants', async () => {
    const { warn } = await logged(OrdersSync, UsersSync);
    expect(warn).toHaveLength(1);
    expect(warn[0]).toMatch(/^UsersSync\.sync and OrdersSync\.sync share lock 'sync' and run at the same instants/);
  });

  it('is not warned of methods with other times, or of one that is provided twice', async () => {
    @Injectable()
    class Later {
      @Cron('*/7 * * * *', { disabled: true })
      @WithLock('sync')
      async run(): Promise<number> {
        return 0;
      }

      @Cron('*/7 * * * *', { disabled: true, timeZone: 'Asia/Tokyo' })
      @WithLock('sync')
      async tokyo(): Promise<number> {
        return 0;
      }
    }
    const { log, warn } = await logged(OrdersSync, Later);
    expect([warn, log.length]).toEqual([[], 3]);
  });

  it('is warned of options for a lock that no decorator names, where the name looks like a typo', async () => {
    const names = { dayly_job: { ttlMs: 60_000 }, pay: { waitMs: 0 } };
    const { warn } = await loggedWith({ names }, Jobs);
    expect(warn).toEqual([
      "lock.names has options for 'dayly_job', which no @WithLock names. Did you mean 'daily_job'? " +
        'Locks that decorators name: daily_job, each, poll, pay',
    ]);
  });

  it.each([
    ['another name', 'report'],
    ['one more number', 'sync-2'],
  ])('has a line for options of a lock that only calls can name: %s', async (_, name) => {
    @Injectable()
    class Numbered {
      @WithLock('sync-1')
      async run(): Promise<number> {
        return 0;
      }
    }
    const { warn, log } = await loggedWith({ names: { [name]: { ttlMs: 60_000 } } }, Numbered);
    expect(warn).toEqual([]);
    expect(log.at(-1)).toBe(
      `lock.names has options for '${name}', which no @WithLock names: they are for calls such as locks.acquire. ` +
        'Locks that decorators name: sync-1',
    );
  });
});
