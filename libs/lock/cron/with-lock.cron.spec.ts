import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Cron, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { CronTime } from 'cron';
import { DAILY, YEARLY } from '../../../test/support/far-cron.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { type LockMember } from '../../../test/support/lock-member.js';
import { until } from '../../../test/support/until.js';
import { WithLock } from '../index.js';

const bed = new LockBed();

/** What the scheduler does before it calls the methods of its jobs. */
function fire({ app }: LockMember, at: Date): void {
  for (const job of app.get(SchedulerRegistry).getCronJobs().values()) Object.assign(job, { lastExecution: at });
}

describe('@Cron', () => {
  const schedule = [ScheduleModule.forRoot()];

  it('runs a job that is over in no time once per tick', async () => {
    @Injectable()
    class Settlement {
      runs = 0;

      @Cron('* * * * * *')
      @WithLock('job')
      async run(): Promise<void> {
        this.runs++;
      }
    }
    const began = Math.floor(Date.now() / 1_000);
    const jobs = [
      await bed.boot(Settlement, schedule),
      await bed.boot(Settlement, schedule),
      await bed.boot(Settlement, schedule),
    ];
    const runs = (): number => jobs.reduce((sum, job) => sum + job.runs, 0);
    await until(() => runs() >= 3, { what: 'three ticks ran' });
    expect(runs()).toBeLessThanOrEqual(Math.floor(Date.now() / 1_000) - began);
    const mark = await bed.admin.pttl('{lock:job}:~tick:Settlement.run');
    // Ten seconds, less what this process took to ask.
    expect(mark).toBeGreaterThan(0);
    expect(mark).toBeLessThanOrEqual(11_000);
  });

  it('counts the methods that share a lock one by one', async () => {
    @Injectable()
    class Jobs {
      ran: string[] = [];

      @WithLock('shared', { oncePerTick: true })
      @Cron(DAILY, { disabled: true, name: 'first' })
      async first(): Promise<void> {
        this.ran.push('first');
      }

      @WithLock('shared')
      @Cron(DAILY, { disabled: true, name: 'second' })
      async second(): Promise<void> {
        this.ran.push('second');
      }
    }
    const fleet = [await bed.boot(Jobs, schedule), await bed.boot(Jobs, schedule)];
    for (const [i, jobs] of fleet.entries()) {
      fire(bed.members[i]!, new Date());
      await jobs.first();
      await jobs.second();
    }
    expect(fleet.flatMap(({ ran }) => ran)).toEqual(['first', 'second']);
  });

  it('follows a named job whose time was changed while it runs', async () => {
    @Injectable()
    class Changed {
      runs = 0;

      @Cron(YEARLY, { name: 'changed' })
      @WithLock('changed')
      async run(): Promise<void> {
        this.runs++;
      }
    }
    const fleet = [await bed.boot(Changed, schedule), await bed.boot(Changed, schedule)];
    const began = Math.floor(Date.now() / 1_000);
    for (const { app } of bed.members)
      app.get(SchedulerRegistry).getCronJob('changed').setTime(new CronTime('* * * * * *'));
    const runs = (): number => fleet.reduce((sum, each) => sum + each.runs, 0);
    await until(() => runs() >= 2, { what: 'two ticks ran' });
    expect(runs()).toBeLessThanOrEqual(Math.floor(Date.now() / 1_000) - began);
  });

  it('is an ordinary locked call by hand, far from any tick, and where nothing is scheduled', async () => {
    @Injectable()
    class Yearly {
      ran = 0;

      @Cron(YEARLY)
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
    const scheduled = await bed.boot(Yearly, [ScheduleModule.forRoot({ cronJobs: false })]);
    expect([await scheduled.run(), await scheduled.each(), await scheduled.each()]).toEqual([1, 2, 3]);
    const unscheduled = await bed.boot(Yearly);
    expect([await unscheduled.each(), await unscheduled.each()]).toEqual([1, 2]);
    await bed.occupy('yearly');
    await expect(unscheduled.run()).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
  });

  it('runs one tick once though a scheduler that was late calls twice at once', async () => {
    @Injectable()
    class Late {
      ran = 0;

      @Cron(DAILY, { disabled: true, name: 'late' })
      @WithLock('late')
      async run(): Promise<number> {
        return ++this.ran;
      }
    }
    const late = await bed.boot(Late, schedule);
    const [member] = bed.members;
    fire(member!, new Date());
    // As cron does: its next instant passed between its timer and the setting of the next one.
    expect(await Promise.all([late.run(), late.run()])).toEqual([1, undefined]);
    expect(await late.run()).toBe(2);
  });

  it('runs one tick once though the schedulers were late at the start, and called before they had registered the job', async () => {
    @Injectable()
    class Late {
      runs = 0;

      @Cron(DAILY)
      @WithLock('late at the start')
      async run(): Promise<void> {
        this.runs++;
      }
    }
    const { getTimeout } = CronTime.prototype;
    const fleet: Late[] = [];
    for (let i = 0; i < 2; i++) {
      // The instant has passed while the job was made. Later timers are set as usual.
      CronTime.prototype.getTimeout = function (this: CronTime): number {
        CronTime.prototype.getTimeout = getTimeout;
        return -5;
      };
      try {
        fleet.push(await bed.boot(Late, schedule));
      } finally {
        CronTime.prototype.getTimeout = getTimeout;
      }
    }
    await until(() => bed.admin.exists('{lock:late at the start}:~tick:Late.run'), { what: 'the tick was taken' });
    await until(async () => (await bed.admin.exists('lock:late at the start')) === 0, { what: 'all calls are over' });
    expect(fleet.map(({ runs }) => runs)).toEqual([1, 0]);
  });

  it('is a tick once for each time its job fired: any other call is an ordinary one', async () => {
    @Injectable()
    class Reports {
      ran = 0;

      @Cron(DAILY, { disabled: true })
      @WithLock('report', { waitMs: 50 })
      async report(): Promise<number> {
        return ++this.ran;
      }
    }
    const [reports, other] = [await bed.boot(Reports, schedule), await bed.boot(Reports, schedule)];
    expect([await reports.report(), await reports.report()]).toEqual([1, 2]);
    const firedAt = new Date();
    for (const member of bed.members) fire(member, firedAt);
    expect([await reports.report(), await other.report()]).toEqual([3, undefined]);
    // In the same second.
    expect([await reports.report(), await other.report()]).toEqual([4, 1]);
    await bed.occupy('report');
    await expect(reports.report()).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT', waitedMs: 50 });
  });

  it('refuses to guess when a nameless job was changed', async () => {
    @Injectable()
    class Changed {
      ran = 0;

      @Cron(YEARLY)
      @WithLock('changed')
      async run(): Promise<void> {
        this.ran++;
      }
    }
    const changed = await bed.boot(Changed, schedule);
    const [job] = bed.members[0]!.app.get(SchedulerRegistry).getCronJobs().values();
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

  it('skips a run that comes more than 25 hours late', async () => {
    @Injectable()
    class Late {
      ran = 0;

      @Cron(YEARLY, { name: 'late' })
      @WithLock('late')
      async run(): Promise<number> {
        return ++this.ran;
      }
    }
    const late = await bed.boot(Late, schedule);
    expect(await late.run()).toBe(1);
    // Its last time was half a year ago.
    fire(bed.members[0]!, new Date());
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
    const slow = await bed.boot(Slow, schedule);
    await until(() => slow.runs === 1, { what: 'it runs' });
    const job = bed.members[0]!.app.get(SchedulerRegistry).getCronJobs().values().next().value!;
    const ticked = Number(job.lastDate());
    // The second one, for the first has been skipped by then.
    await until(() => Number(job.lastDate()) > ticked + 1_500, { what: 'two more ticks come' });
    expect(slow.runs).toBe(1);
    slow.end();
    await until(() => slow.runs === 2, { what: 'it runs again' });
    await bed.members[0]!.app.close();
  });
});
