import { afterEach, expect, it } from '@jest/globals';
import { Injectable, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TaskHandler, TaskSchedule, defineQueue, type Task } from '../../queue/index.js';
import { SluiceModule } from '../../sluice/index.js';
import { SluiceTestingModule, TestingClock, TestingQueue } from '../index.js';

const Reports = defineQueue<{ kind: string }>('reports');
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

@Injectable()
class ReportHandler {
  readonly runs: Task[] = [];

  @TaskHandler(Reports)
  @TaskSchedule('daily', '0 3 * * *', { timeZone: 'Europe/Berlin', payload: { kind: 'daily' } })
  run(task: Task<{ kind: string }>): void {
    this.runs.push(task);
  }
}

let app: INestApplication | undefined;
afterEach(async () => {
  await app?.close();
});

async function start(override: boolean): Promise<{ queue: TestingQueue; clock: TestingClock; runs: Task[] }> {
  const builder = override
    ? SluiceTestingModule.override(
        Test.createTestingModule({
          imports: [SluiceModule.forRoot({ redis: { url: 'redis://nowhere' } })],
          providers: [ReportHandler],
        }),
      )
    : Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [ReportHandler] });
  app = (await builder.compile()).createNestApplication();
  await app.init();
  return { queue: app.get(TestingQueue), clock: app.get(TestingClock), runs: app.get(ReportHandler).runs };
}

it.each([[false], [true]])('declared schedules become due by the clock (override: %s)', async (override) => {
  const { queue, clock, runs } = await start(override);
  await clock.advance(3 * DAY);
  expect(runs).toEqual([]);
  await queue.drain();
  expect(runs).toHaveLength(3);
  const instants = runs.map(({ id }) => Number(id.replace('daily@', '')));
  for (const at of instants) {
    const hour = new Date(at).toLocaleTimeString('de', {
      timeZone: 'Europe/Berlin',
      hour: '2-digit',
      minute: '2-digit',
    });
    expect(hour).toBe('03:00');
  }
  expect(runs[0]).toMatchObject({ payload: { kind: 'daily' } });
  expect(queue.published(Reports).map(({ id }) => id)).toEqual(runs.map(({ id }) => id));
  const [info] = await queue.schedules(Reports).list();
  expect(info).toMatchObject({ id: 'daily', spec: '0 3 * * *', paused: false, last: new Date(instants[2]!) });
});

it('schedules are added, changed, paused, run and removed as on Redis', async () => {
  const { queue, clock } = await start(false);
  const schedules = queue.schedules(Reports);
  expect(await schedules.upsert('hourly', { everyMs: HOUR }, { kind: 'h' }, { missed: 'once' })).toBe(true);
  expect(await schedules.upsert('hourly', { everyMs: HOUR }, { kind: 'h' }, { missed: 'once' })).toBe(false);
  const hourly = (): string[] => queue.published(Reports).flatMap(({ id }) => (id.startsWith('hourly@') ? [id] : []));
  await clock.advance(3 * HOUR);
  expect(hourly()).toHaveLength(3);
  expect(await schedules.pause('hourly')).toBe(true);
  await clock.advance(5 * HOUR);
  expect(hourly()).toHaveLength(3);
  expect(await schedules.resume('hourly')).toBe(true);
  // The pause counts as missed time, or its last instant is less than a minute ago: one task in either case.
  expect(hourly()).toHaveLength(4);
  expect(await schedules.upsert('hourly', { everyMs: 2 * HOUR }, { kind: 'h' })).toBe(true);
  await clock.advance(4 * HOUR);
  expect(hourly()).toHaveLength(6);
  expect(await schedules.runNow('hourly')).toMatch(/^hourly@now/);
  expect(await schedules.runNow('no such')).toBeUndefined();
  expect(await schedules.remove('hourly')).toBe(true);
  await clock.advance(4 * HOUR);
  expect(hourly()).toHaveLength(7);
  await expect(schedules.remove('daily')).rejects.toMatchObject({ code: 'SLUICE_SCHEDULE_DECLARED' });
  await expect(schedules.upsert('daily', { everyMs: HOUR }, { kind: 'd' })).rejects.toMatchObject({
    code: 'SLUICE_SCHEDULE_DECLARED',
  });
  await expect(schedules.upsert('x', 'never', { kind: 'd' })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
});
