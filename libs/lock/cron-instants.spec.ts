import { CronTime as RealCronTime } from 'cron';
import { describe, expect, it } from '@jest/globals';
import { scheduledInstant, type CronTime } from './cron-instants.js';

const HOUR = 3_600_000;
const MARGIN = 10_000;

const inZone = (expression: string, timeZone = 'UTC'): CronTime => new RealCronTime(expression, timeZone);
const at = (iso: string): number => new Date(iso).getTime();

function instant(time: CronTime, iso: string, fired: boolean): string | undefined {
  const found = scheduledInstant(time, at(iso), fired);
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
    expect(instant(inZone(expression), now, true)).toBe(expected);
  });
});

describe('a call by hand stands for the nearest instant, if one is near', () => {
  it.each([
    ['* * * * * *', '2026-05-01T12:00:00.499Z', '2026-05-01T12:00:00.000Z'],
    ['* * * * * *', '2026-05-01T12:00:00.501Z', '2026-05-01T12:00:01.000Z'],
    ['0 3 * * *', '2026-05-01T02:59:00.000Z', '2026-05-01T03:00:00.000Z'],
    ['0 3 * * *', '2026-05-01T03:01:00.000Z', '2026-05-01T03:00:00.000Z'],
    ['0 3 * * *', '2026-05-01T02:58:59.999Z', undefined],
    ['0 3 * * *', '2026-05-01T03:01:00.001Z', undefined],
    ['*/10 * * * *', '2026-05-01T12:05:00.000Z', undefined],
  ])('%s, called at %s: %s', (expression, now, expected) => {
    expect(instant(inZone(expression), now, false)).toBe(expected);
  });
});

describe('zones', () => {
  it('are those of the job', () => {
    expect(instant(inZone('0 3 * * *', 'Asia/Kolkata'), '2026-05-01T21:30:00.001Z', true)).toBe(
      '2026-05-01T21:30:00.000Z',
    );
    expect(instant(inZone('30 1 29 3 *', 'Europe/Berlin'), '2026-03-29T00:30:00.001Z', true)).toBe(
      '2026-03-29T00:30:00.000Z',
    );
  });

  it('may set their clocks back by half an hour', () => {
    // 02:00 is 01:30 again, at 15:00 UTC.
    const time = inZone('*/10 * * * *', 'Australia/Lord_Howe');
    expect(instant(time, '2026-04-04T14:50:00.001Z', true)).toBe('2026-04-04T14:50:00.000Z');
    expect(instant(time, '2026-04-04T15:20:00.001Z', true)).toBeDefined();
    expect(instant(time, '2026-04-04T15:40:00.001Z', true)).toBe('2026-04-04T15:40:00.000Z');
  });

  it.each([
    [330, '2026-05-01T21:30:00.001Z', '2026-05-01T21:30:00.000Z'],
    [-210, '2026-05-01T06:30:00.001Z', '2026-05-01T06:30:00.000Z'],
    [0, '2026-05-01T03:00:00.001Z', '2026-05-01T03:00:00.000Z'],
  ])('may be an offset: %p minutes', (utcOffset, now, expected) => {
    expect(instant(new RealCronTime('0 3 * * *', null, utcOffset), now, true)).toBe(expected);
  });
});

describe('what runs once, at a date', () => {
  const time = new RealCronTime(new Date('2026-05-01T03:00:00.250Z'));

  it('has one instant', () => {
    expect(instant(time, '2026-05-01T03:00:00.251Z', true)).toBe('2026-05-01T03:00:00.250Z');
    expect(instant(time, '2026-05-01T02:59:59.900Z', false)).toBe('2026-05-01T03:00:00.250Z');
    expect(instant(time, '2026-05-01T04:00:00.000Z', false)).toBeUndefined();
    expect(scheduledInstant(time, at('2026-05-01T03:00:01Z'), true)?.keepMs).toBe(25 * HOUR + MARGIN);
  });
});

it('is remembered for a period, at most a day and an hour', () => {
  const kept = (expression: string): number | undefined =>
    scheduledInstant(inZone(expression), at('2026-05-01T00:00:00Z'), true)?.keepMs;
  expect(kept('* * * * * *')).toBe(1_000 + MARGIN);
  expect(kept('0 * * * *')).toBe(HOUR + MARGIN);
  expect(kept('0 0 * * *')).toBe(24 * HOUR + MARGIN);
  expect(kept('0 0 1 * *')).toBe(25 * HOUR + MARGIN);
});
