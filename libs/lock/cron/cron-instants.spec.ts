import { CronTime as RealCronTime } from 'cron';
import { describe, expect, it } from '@jest/globals';
import { scheduledInstant, type CronTime } from './cron-instants.js';

const HOUR = 3_600_000;
const MARGIN = 10_000;

const inZone = (expression: string, timeZone = 'UTC'): CronTime => new RealCronTime(expression, timeZone);
const at = (iso: string): number => new Date(iso).getTime();

function instant(time: CronTime, iso: string): string | undefined {
  const found = scheduledInstant(time, at(iso));
  return found && new Date(found.instantMs).toISOString();
}

describe('a call of the scheduler stands for the last instant', () => {
  it.each([
    ['* * * * * *', '2026-05-01T12:00:00.000Z', '2026-05-01T12:00:00.000Z'],
    ['* * * * * *', '2026-05-01T12:00:00.999Z', '2026-05-01T12:00:00.000Z'],
    ['*/5 * * * * *', '2026-05-01T12:00:09.900Z', '2026-05-01T12:00:05.000Z'],
    ['0 3 * * *', '2026-05-01T03:00:00.004Z', '2026-05-01T03:00:00.000Z'],
    ['0 3 * * *', '2026-05-01T04:30:00.000Z', '2026-05-01T03:00:00.000Z'],
    ['0 3 * * *', '2026-05-02T02:59:59.000Z', '2026-05-01T03:00:00.000Z'],
    ['0 0 1 * *', '2026-05-02T00:59:00.000Z', '2026-05-01T00:00:00.000Z'],
    ['0 0 1 * *', '2026-05-02T02:00:00.000Z', undefined],
  ])('%s, called at %s: %s', (expression, now, expected) => {
    expect(instant(inZone(expression), now)).toBe(expected);
  });
});

describe('zones', () => {
  it('are those of the job', () => {
    expect(instant(inZone('0 3 * * *', 'Asia/Kolkata'), '2026-05-01T21:30:00.001Z')).toBe('2026-05-01T21:30:00.000Z');
    expect(instant(inZone('30 1 29 3 *', 'Europe/Berlin'), '2026-03-29T00:30:00.001Z')).toBe(
      '2026-03-29T00:30:00.000Z',
    );
  });

  it('may set their clocks back by half an hour', () => {
    // 02:00 is 01:30 again, at 15:00 UTC.
    const time = inZone('*/10 * * * *', 'Australia/Lord_Howe');
    expect(instant(time, '2026-04-04T14:50:00.001Z')).toBe('2026-04-04T14:50:00.000Z');
    expect(instant(time, '2026-04-04T15:20:00.001Z')).toBeDefined();
    expect(instant(time, '2026-04-04T15:40:00.001Z')).toBe('2026-04-04T15:40:00.000Z');
  });

  it.each([
    [330, '2026-05-01T21:30:00.001Z', '2026-05-01T21:30:00.000Z'],
    [-210, '2026-05-01T06:30:00.001Z', '2026-05-01T06:30:00.000Z'],
    [0, '2026-05-01T03:00:00.001Z', '2026-05-01T03:00:00.000Z'],
  ])('may be an offset: %p minutes', (utcOffset, now, expected) => {
    expect(instant(new RealCronTime('0 3 * * *', null, utcOffset), now)).toBe(expected);
  });
});

describe('where clocks are put forward or back', () => {
  const MINUTE = 60_000;

  /** When `cron` calls a process that is up from then on. */
  function calls(time: CronTime, from: string, to: string): number[] {
    const found: number[] = [];
    for (let now = at(from); (now = time.getNextDateFrom(new Date(now), time.timeZone).toMillis()) < at(to);)
      found.push(now);
    return found;
  }
  const iso = (instants: readonly number[]): string[] =>
    instants.map((each) => new Date(each).toISOString().slice(5, 16));
  /** Which instants the calls stand for, each a moment late. */
  const standFor = (time: CronTime, called: readonly number[], lateMs: number): (number | undefined)[] =>
    called.map((each) => scheduledInstant(time, each + lateMs)?.instantMs);

  it.each<[string, string, string, string, string[]]>([
    // 01:00 to 02:00 come twice, from 05:00 and from 06:00 UTC on. Once a day is once that day too.
    ['30 1 * * *', 'America/New_York', '2026-11-01T00:00Z', '2026-11-03T00:00Z', ['11-01T05:30', '11-02T06:30']],
    [
      '0 * * * *',
      'America/New_York',
      '2026-11-01T04:30Z',
      '2026-11-01T07:30Z',
      ['11-01T05:00', '11-01T06:00', '11-01T07:00'],
    ],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', '2026-10-26T12:00Z', ['10-25T00:30', '10-26T01:30']],
    // 02:00 to 03:00 do not come at all: `cron` calls at 03:00 for whatever would have been in between.
    ['30 2 * * *', 'America/New_York', '2026-03-07T12:00Z', '2026-03-09T12:00Z', ['03-08T07:00', '03-09T06:30']],
    [
      '30 * * * *',
      'America/New_York',
      '2026-03-08T05:00Z',
      '2026-03-08T09:00Z',
      ['03-08T05:30', '03-08T06:30', '03-08T07:00', '03-08T07:30', '03-08T08:30'],
    ],
    ['30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', '2026-03-30T12:00Z', ['03-29T01:00', '03-30T00:30']],
    ['15 1 * * *', 'Asia/Kolkata', '2026-03-28T12:00Z', '2026-03-30T12:00Z', ['03-28T19:45', '03-29T19:45']],
  ])('%s in %s from %s', (expression, zone, from, to, expected) => {
    const time = inZone(expression, zone);
    const called = calls(time, from, to);
    expect(iso(called)).toEqual(expected);
    for (const lateMs of [1, 5_000, 29 * MINUTE]) expect(standFor(time, called, lateMs)).toEqual(called);
  });

  it.each([
    // 05:30 and 06:30 UTC are both 01:30: who is started in between is called once more than the others.
    ['30 1 * * *', 'America/New_York', '2026-11-01T06:10Z', '2026-11-01T05:30'],
    ['*/15 1 * * *', 'America/New_York', '2026-11-01T06:10Z', '2026-11-01T05:45'],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-25T01:10Z', '2026-10-25T00:30'],
    ['*/5 30 1 * * *', 'America/New_York', '2026-11-01T06:10Z', '2026-11-01T05:30'],
  ])(
    '%s in %s, of who is started at %s, is that of %s: one of the two, for all',
    (expression, zone, started, first) => {
      const time = inZone(expression, zone);
      const [called = 0] = calls(time, started, '2026-11-02T00:00Z');
      for (const lateMs of [1, 5_000, 10 * MINUTE]) {
        expect(new Date(standFor(time, [called], lateMs)[0]!).toISOString().slice(0, 16)).toBe(first);
      }
      expect(scheduledInstant(time, called)!.keepMs).toBeGreaterThan(HOUR);
    },
  );

  it.each(['*/15 * * * *', '0 * * * *', '*/20 1-3 * * *', '* 30 * * * *'])(
    '%s runs in both hours of one name, whenever a process was started',
    (expression) => {
      const time = inZone(expression, 'America/New_York');
      const always = calls(time, '2026-11-01T04:30Z', '2026-11-01T08:00Z');
      const later = calls(time, '2026-11-01T06:10Z', '2026-11-01T08:00Z');
      expect(later).toEqual(always.filter((each) => each > at('2026-11-01T06:10Z')));
      for (const called of [later[0]!, later.at(-1)!]) expect(standFor(time, [called], 900)).toEqual([called]);
    },
  );
});

describe('what runs once, at a date', () => {
  const time = new RealCronTime(new Date('2026-05-01T03:00:00.250Z'));

  it('has one instant', () => {
    expect(instant(time, '2026-05-01T03:00:00.251Z')).toBe('2026-05-01T03:00:00.250Z');
    expect(scheduledInstant(time, at('2026-05-01T03:00:01Z'))?.keepMs).toBe(25 * HOUR + MARGIN);
  });
});

it('is remembered for a period, at most a day and an hour', () => {
  const kept = (expression: string): number | undefined =>
    scheduledInstant(inZone(expression), at('2026-05-01T00:00:00Z'))?.keepMs;
  expect(kept('* * * * * *')).toBe(1_000 + MARGIN);
  expect(kept('0 * * * *')).toBe(HOUR + MARGIN);
  expect(kept('0 0 * * *')).toBe(24 * HOUR + MARGIN);
  expect(kept('0 0 1 * *')).toBe(25 * HOUR + MARGIN);
});
