import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import type { TestHandler, TestSchedule } from '../../../test/support/queue-app.js';
import { until } from '../../../test/support/until.js';
import type { SluiceQueueModuleOptions, Task } from '../index.js';

const bed = new QueueBed();
const [STATES, DUE] = ['{tasks}:~schedule-states', '{tasks}:~schedule-due'];
const FAR: TestSchedule = ['nightly', '0 3 1 1 *'];
const HOUR = 3_600_000;
const LEASE: SluiceQueueModuleOptions = { leaseMs: 500 };

/** A handler of `tasks` that notes what it gets. */
function noted(runs: Task[], ...schedules: readonly TestSchedule[]): Record<string, TestHandler> {
  return { tasks: { run: (task) => void runs.push(task), schedules } };
}

async function parts(id: string): Promise<string[]> {
  return ((await bed.admin.hget(STATES, id)) ?? '').split(' ');
}

/** As if the schedule's next instant were this one: what no process did meanwhile is missed. */
async function setNext(id: string, nextMs: number): Promise<void> {
  const state = await parts(id);
  state.splice(1, 2, String(nextMs), String(nextMs));
  await bed.admin.hset(STATES, id, state.join(' '));
  await bed.admin.zadd(DUE, nextMs, id);
}

describe('a @TaskSchedule', () => {
  it('publishes a task at each instant, with the id of schedule and instant', async () => {
    const runs: Task[] = [];
    await bed.start({ handlers: noted(runs, ['often', { everyMs: 1_000 }, { payload: { n: 1 } as never }]) });
    await until(() => runs.length >= 3, { what: 'it ran three times' });
    const instants = runs.map(({ id }) => Number(id.replace('often@', '')));
    const first = instants[0]!;
    expect(instants).toEqual(instants.map((_, n) => first + n * 1_000));
    expect(first % 1_000).toBe(0);
    expect(runs[0]!.payload).toEqual({ n: 1 });
  });

  it('is one schedule, however many processes declare it, at once and again', async () => {
    const runs: Task[] = [];
    const apps = await Promise.all(
      Array.from({ length: 5 }, () =>
        bed.start({ handlers: noted(runs, FAR, ['often', { everyMs: 1_000 }]), queue: LEASE }),
      ),
    );
    await until(() => runs.length >= 4, { what: 'it ran' });
    expect(new Set(runs.map(({ id }) => id)).size).toBe(runs.length);
    expect(await bed.admin.hlen(STATES)).toBe(2);
    const [list] = [await apps[0]!.queue.schedules('tasks').list()];
    expect(list.map(({ id }) => id)).toEqual(['often', 'nightly']);
    expect(list[1]).toMatchObject({
      spec: '0 3 1 1 *',
      timeZone: 'UTC',
      payload: null,
      last: undefined,
      paused: false,
    });
    const workers = await apps[0]!.queue.workers('tasks');
    expect(workers.map(({ consumer }) => consumer)).toContain(list[1]!.declaredBy);
  });

  it('follows a changed declaration while both processes run, and an old one does not change it back', async () => {
    const old = await bed.start({ handlers: noted([], FAR), queue: LEASE });
    const [fingerprint] = await parts('nightly');
    const changed: TestSchedule = ['nightly', '30 4 1 1 *'];
    const { queue } = await bed.start({ handlers: noted([], changed), queue: LEASE });
    const { spec, declaredBy } = (await queue.schedules('tasks').list())[0]!;
    // Both run in this process, so they started at the same time: the first declaration stands, until its process ends.
    expect(spec).toBe('0 3 1 1 *');
    expect(declaredBy).toBeDefined();
    await old.app.close();
    await until(async () => (await parts('nightly'))[0] !== fingerprint, { what: 'the other spec is stored' });
    expect((await queue.schedules('tasks').list())[0]).toMatchObject({ spec: '30 4 1 1 *' });
  });

  it('goes on without the process that declared it, by any other that works on the queue', async () => {
    const runs: Task[] = [];
    const declaring = await bed.start({ handlers: noted(runs, ['often', { everyMs: 1_000 }]) });
    await bed.start({ handlers: noted(runs) });
    await declaring.app.close();
    const before = runs.length;
    await until(() => runs.length > before + 1, { what: 'it still runs' });
    expect(new Set(runs.map(({ id }) => id)).size).toBe(runs.length);
  });

  it('is not stored by a process that does not consume the queue', async () => {
    await bed.start({ handlers: noted([], FAR), queue: { consumers: false } });
    expect(await bed.admin.exists(STATES)).toBe(0);
  });

  it('costs an idle process no more than its declaration, every six leases', async () => {
    await bed.start({ handlers: noted([], FAR), queue: { leaseMs: 600 } });
    await until(async () => (await bed.admin.exists('{tasks}:~swept')) === 1, { what: 'a renewal has looked' });
    const from = performance.now();
    const { calls } = await commandDelta(bed.admin, () =>
      until(() => performance.now() - from > 7_200, { what: 'leases' }),
    );
    const leases = (performance.now() - from) / 600;
    expect((calls['evalsha'] ?? 0) / leases).toBeLessThan(3.6);
    expect(calls).not.toHaveProperty('xadd');
  });
});

describe.each([
  ['skip', []],
  ['once', [0]],
  ['all', [0, 1, 2, 3, 4]],
] as const)("when no process ran over five instants, with missed: '%s'", (missed, published) => {
  it(`${published.length} of them are published`, async () => {
    const nowMs = Date.now();
    // In the middle of a period, so that the last instant is missed and not only late.
    const periods = Array.from({ length: 30 }, (_, n) => HOUR + n * 60_000);
    const everyMs = periods.find((ms) => nowMs % ms > ms / 5 && nowMs % ms < (ms * 4) / 5)!;
    const handlers = (runs: Task[]): Record<string, TestHandler> => noted(runs, ['hourly', { everyMs }, { missed }]);
    const { app } = await bed.start({ handlers: handlers([]) });
    await app.close();
    const first = (Math.floor(nowMs / everyMs) - 4) * everyMs;
    await setNext('hourly', first);
    const runs: Task[] = [];
    const { queue } = await bed.start({ handlers: handlers(runs) });
    await until(async () => (await queue.schedules('tasks').list())[0]!.next.getTime() > nowMs, {
      what: 'it is in time',
    });
    await bed.untilSettled();
    expect(runs.map(({ id }) => id)).toEqual(published.map((n) => `hourly@${first + n * everyMs}`));
  });
});

describe('queue.schedules', () => {
  it('adds, lists, changes, pauses, resumes, runs and removes schedules', async () => {
    const runs: Task[] = [];
    const { queue } = await bed.start({ handlers: noted(runs) });
    const schedules = queue.schedules('tasks');
    expect(
      await schedules.upsert('digest', '0 7 * * 1', { user: 7 }, { timeZone: 'Europe/Berlin', missed: 'once' }),
    ).toBe(true);
    expect(
      await schedules.upsert('digest', '0 7 * * 1', { user: 7 }, { timeZone: 'Europe/Berlin', missed: 'once' }),
    ).toBe(false);
    expect(await schedules.upsert('digest', '0 8 * * 1', { user: 7 })).toBe(true);
    expect(await schedules.list()).toEqual([
      {
        ...{ id: 'digest', spec: '0 8 * * 1', timeZone: 'UTC', missed: 'skip', jitterMs: 0, payload: { user: 7 } },
        ...{ next: expect.any(Date), last: undefined, paused: false, declaredBy: undefined, orphaned: false },
      },
    ]);
    expect([await schedules.pause('digest'), await schedules.pause('digest')]).toEqual([true, false]);
    expect((await schedules.list())[0]).toMatchObject({ paused: true });
    const id = await schedules.runNow('digest');
    await until(() => runs.length === 1, { what: 'it ran' });
    expect(runs[0]).toMatchObject({ id, payload: { user: 7 } });
    expect([await schedules.resume('digest'), await schedules.resume('digest')]).toEqual([true, false]);
    expect([await schedules.remove('digest'), await schedules.remove('digest')]).toEqual([true, false]);
    expect(await schedules.runNow('digest')).toBeUndefined();
    expect(await schedules.list()).toEqual([]);
  });

  it('of a producer wakes the workers: a schedule begins at its first instant', async () => {
    const runs: Task[] = [];
    await bed.start({ handlers: noted(runs), queue: { leaseMs: 60_000 } });
    const { queue } = await bed.start({ queue: { consumers: false } });
    await queue.schedules('tasks').upsert('often', { everyMs: 1_000 }, 'x');
    await until(() => runs.length >= 2, { what: 'it ran' });
    expect(runs[0]).toMatchObject({ payload: 'x' });
  });

  it('of which all messages are lost are found by a renewal', async () => {
    const runs: Task[] = [];
    await bed.start({ handlers: noted(runs), queue: LEASE });
    await bed.admin.call('ACL', 'SETUSER', 'mute', 'on', '>secret', '~*', '+@all', 'resetchannels');
    const url = bed.redis.url.replace('redis://', 'redis://mute:secret@');
    const { queue } = await bed.start({ queue: { consumers: false }, url } as never);
    await queue.schedules('tasks').upsert('often', { everyMs: 1_000 }, 'x');
    await until(() => runs.length >= 1, { what: 'it ran' });
  });

  it('of a declared schedule pause it, but neither change nor remove it', async () => {
    const { queue } = await bed.start({ handlers: noted([], FAR) });
    const schedules = queue.schedules('tasks');
    const declared = { code: 'SLUICE_SCHEDULE_DECLARED' };
    await expect(schedules.upsert('nightly', { everyMs: 1_000 }, 1)).rejects.toMatchObject(declared);
    await expect(schedules.remove('nightly')).rejects.toMatchObject(declared);
    expect(await schedules.pause('nightly')).toBe(true);
  });

  it('refuse bad ids, specs and payloads', async () => {
    const { queue } = await bed.start({});
    const schedules = queue.schedules('tasks');
    await expect(schedules.upsert('', '0 3 * * *', 1)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    await expect(schedules.upsert('x', 'never', 1)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    await expect(schedules.upsert('x', '0 3 * * *', new Date())).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_UNSERIALIZABLE',
    });
    await expect(schedules.pause(7 as never)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });

  it('keep going when all data is gone: what the code declares is stored again', async () => {
    const { queue } = await bed.start({ handlers: noted([], FAR), queue: LEASE });
    await bed.admin.flushall();
    await until(async () => (await queue.schedules('tasks').list()).length === 1, { what: 'it is stored again' });
  });
});
