import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Cron, Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { DAILY, YEARLY } from '../../../test/support/far-cron.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import type { LockMember } from '../../../test/support/lock-member.js';
import { until } from '../../../test/support/until.js';
import { REDIS_CONNECTIONS, type RedisConnections } from '../../redis/index.js';
import { SluiceTestingModule } from '../../testing/index.js';
import { LOCK_CHANNELS, LockService, WithLock, type LockSkippedMessage } from '../index.js';

const bed = new LockBed();
const DAY_MS = 86_400_000;

@Injectable()
class Jobs {
  ran = 0;

  @Cron(DAILY, { disabled: true })
  @WithLock('daily', { waitMs: 0 })
  async daily(): Promise<number> {
    return ++this.ran;
  }

  @Interval(DAY_MS)
  @WithLock('poll')
  async poll(): Promise<number> {
    return ++this.ran;
  }

  @Cron(YEARLY, { disabled: true, name: 'yearly' })
  @WithLock('yearly')
  async yearly(): Promise<number> {
    return ++this.ran;
  }
}

/** What the scheduler does before it calls the methods of its jobs. */
function fire({ app }: LockMember, at: Date): void {
  for (const job of app.get(SchedulerRegistry).getCronJobs().values()) Object.assign(job, { lastExecution: at });
}

/** What is written to the log, published and counted while `work` runs. */
async function told(
  { app, connections }: Pick<LockMember, 'app' | 'connections'>,
  work: (locks: LockService) => Promise<void>,
) {
  const lines: unknown[] = [];
  const messages: LockSkippedMessage[] = [];
  for (const level of ['log', 'warn'] as const) {
    jest.spyOn(connections.logger, level).mockImplementation((line) => void lines.push(line));
  }
  const locks = app.get(LockService);
  const before = locks.stats();
  const hear = (message: unknown): void => void messages.push(message as LockSkippedMessage);
  subscribe(LOCK_CHANNELS.skipped, hear);
  try {
    await work(locks);
  } finally {
    unsubscribe(LOCK_CHANNELS.skipped, hear);
  }
  const { skipped, timeouts, names } = locks.stats({ by: 'skipped' });
  return { lines, messages, skipped: skipped - before.skipped, timeouts: timeouts - before.timeouts, names };
}

describe('a tick that is skipped', () => {
  it('because the lock is busy is told once, until the job runs again, and is no timeout', async () => {
    const member = await bed.member({ module: { imports: [ScheduleModule.forRoot()], providers: [Jobs] } });
    const jobs = member.app.get(Jobs);
    const other = await bed.service();
    const { lines, messages, skipped, timeouts, names } = await told(member, async () => {
      const lock = await other.acquire('daily', { owner: 'import' });
      for (let i = 3; i > 0; i--) {
        fire(member, new Date(Date.now() - i));
        expect(await jobs.daily()).toBeUndefined();
      }
      await lock.release();
      for (let i = 0; i < 2; i++) {
        fire(member, new Date(Date.now() + i));
        await jobs.daily();
      }
    });
    const what = { name: 'daily', method: 'Jobs.daily', instant: expect.any(Date) };
    expect(messages).toHaveLength(4);
    for (const message of messages.slice(0, 3)) {
      expect(message).toEqual({ ...what, reason: 'busy', holder: expect.objectContaining({ owner: 'import' }) });
    }
    expect(messages[3]).toEqual({ ...what, reason: 'done', holder: undefined });
    expect([skipped, timeouts, names[0]?.name, jobs.ran]).toEqual([4, 0, 'daily', 1]);
    expect(lines).toEqual([
      expect.stringMatching(
        /^Jobs\.daily skips its ticks while lock 'daily' is busy: held by 'import' of process \S+ since/,
      ),
      expect.stringMatching(/^Jobs\.daily runs again: it has skipped 3 ticks in \d+ ms$/),
    ]);
  });

  it('because another process has run it is counted, and no line of the log', async () => {
    const [member, other] = [await bed.member(), await bed.service()];
    const { lines, messages, skipped } = await told(member, async (locks) => {
      await other.oncePerTick('job', 1_000, () => 0);
      expect(await locks.oncePerTick('job', 1_000, () => 0)).toBeUndefined();
    });
    const message = { name: 'job', method: undefined, instant: new Date(1_000), reason: 'done', holder: undefined };
    expect([messages, skipped, lines]).toEqual([[message], 1, []]);
  });

  it('ends what the log said when another process runs the job again', async () => {
    const [member, other] = [await bed.member(), await bed.service()];
    await bed.occupy('job');
    const { lines } = await told(member, async (locks) => {
      await locks.oncePerTick('job', 1_000, () => 0);
      await bed.admin.del('lock:job');
      await other.oncePerTick('job', 2_000, () => 0);
      await locks.oncePerTick('job', 2_000, () => 0);
    });
    expect(lines).toEqual([
      "oncePerTick('job') skips its ticks while lock 'job' is busy: held by 'somebody', no Sluice process",
      expect.stringMatching(/^oncePerTick\('job'\) runs again: it has skipped 1 ticks/),
    ]);
  });

  it('because it is more than 25 hours late, and a call of an interval that another process makes', async () => {
    const member = await bed.member({ module: { imports: [ScheduleModule.forRoot()], providers: [Jobs] } });
    const jobs = member.app.get(Jobs);
    await bed.occupy('poll');
    const { lines, messages, timeouts } = await told(member, async () => {
      fire(member, new Date());
      expect(await jobs.yearly()).toBeUndefined();
      expect(await jobs.poll()).toBeUndefined();
    });
    expect(messages.map(({ method, instant, reason }) => [method, instant, reason])).toEqual([
      ['Jobs.yearly', undefined, 'missed'],
      ['Jobs.poll', undefined, 'busy'],
    ]);
    expect(lines).toEqual([expect.stringContaining('Jobs.yearly is skipped: its tick was more than 25 hours ago')]);
    expect([timeouts, jobs.ran]).toEqual([0, 0]);
  });

  it('because the process shuts down runs in another one', async () => {
    const [closing, other] = [await bed.member({ lock: { drainMs: 60_000 } }), await bed.service()];
    const lock = await closing.locks.acquire('work');
    const closed = closing.app.close();
    const { messages } = await told(closing, async (locks) => {
      // The shutdown begins some turns later.
      let instant = 1_000;
      const skips = async (): Promise<boolean> => (await locks.oncePerTick('job', ++instant, () => 0)) === undefined;
      await until(skips, { what: 'a tick is skipped', everyMs: 1 });
      expect(await other.oncePerTick('job', instant, () => 'ran')).toBe('ran');
    });
    expect(messages).toEqual([expect.objectContaining({ name: 'job', reason: 'closing' })]);
    await lock.release();
    await closed;
  });

  it('is told in tests without Redis as well', async () => {
    const app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
    await app.init();
    const connections = app.get<RedisConnections>(REDIS_CONNECTIONS);
    const { lines, messages, skipped } = await told({ app, connections }, async (locks) => {
      await locks.oncePerTick('job', 1_000, () => 0);
      await locks.oncePerTick('job', 1_000, () => 0);
      await locks.withLock('job', () => Promise.all([1, 2].map((i) => locks.oncePerTick(`job ${i}`, 1, () => 0))));
      await locks.raw.acquire('job', 'other', 60_000);
      await locks.oncePerTick('job', 2_000, () => 0);
    });
    expect(messages.map(({ reason }) => reason)).toEqual(['done', 'busy']);
    expect([skipped, lines.length]).toEqual([2, 1]);
    await app.close();
  });

  it('counts as a timeout where the method throws or answers instead', async () => {
    @Injectable()
    class Strict {
      @Interval(DAY_MS)
      @WithLock('strict', { onBusy: 'throw' })
      async poll(): Promise<number> {
        return 0;
      }

      @Interval(DAY_MS)
      @WithLock('strict', { onBusy: 'throw', waitMs: 5 })
      async wait(): Promise<number> {
        return 0;
      }
    }
    const member = await bed.member({ module: { providers: [Strict] } });
    await bed.occupy('strict');
    const { skipped, timeouts } = await told(member, async () => {
      const strict = member.app.get(Strict);
      await expect(strict.poll()).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT', waitedMs: 0 });
      await expect(strict.wait()).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT', waitedMs: 5 });
    });
    expect([skipped, timeouts]).toEqual([0, 2]);
  });
});
