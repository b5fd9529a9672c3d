import { describe, expect, it } from '@jest/globals';
import { cronError, dueOf, nextInstant } from './instants.js';

/** The first instants of an expression after a time, as ISO texts without seconds. */
function instants(cron: string, timeZone: string, after: string, count = 3): string[] {
  const found: string[] = [];
  let at = Date.parse(after);
  while (found.length < count) {
    at = nextInstant({ cron, timeZone }, at)!;
    found.push(`${new Date(at).toISOString().slice(0, 16)}Z`);
  }
  return found;
}

const BERLIN = 'Europe/Berlin';

describe('when the clocks are put forward (Berlin, 2027-03-28, 02:00 becomes 03:00)', () => {
  it.each([
    [
      '30 2 * * *',
      'a time that does not exist comes at the end of the gap, once',
      ['2027-03-27T01:30Z', '2027-03-28T01:00Z', '2027-03-29T00:30Z'],
    ],
    ['0,30 2 * * *', 'several such times come once', ['2027-03-27T01:00Z', '2027-03-27T01:30Z', '2027-03-28T01:00Z']],
    ['0 3 * * *', 'the time after the gap comes once', ['2027-03-27T02:00Z', '2027-03-28T01:00Z', '2027-03-29T01:00Z']],
  ])('%s: %s', (cron, _, expected) => {
    expect(instants(cron, BERLIN, '2027-03-26T12:00:00Z')).toEqual(expected);
  });

  it('every half hour comes every half hour', () => {
    expect(instants('*/30 * * * *', BERLIN, '2027-03-28T00:10:00Z', 4)).toEqual([
      ...['2027-03-28T00:30Z', '2027-03-28T01:00Z', '2027-03-28T01:30Z', '2027-03-28T02:00Z'],
    ]);
  });
});

describe('when the clocks are put back (Berlin, 2027-10-31, 03:00 becomes 02:00)', () => {
  it.each([
    [
      '30 2 * * *',
      'a time that exists twice comes the first time',
      ['2027-10-30T00:30Z', '2027-10-31T00:30Z', '2027-11-01T01:30Z'],
    ],
    [
      '0,30 2 * * *',
      'each of several comes the first time',
      ['2027-10-30T00:00Z', '2027-10-30T00:30Z', '2027-10-31T00:00Z', '2027-10-31T00:30Z', '2027-11-01T01:00Z'],
    ],
    ['0 3 * * *', 'the time after comes once', ['2027-10-30T01:00Z', '2027-10-31T02:00Z', '2027-11-01T02:00Z']],
  ])('%s: %s', (cron, _, expected) => {
    expect(instants(cron, BERLIN, '2027-10-29T12:00:00Z', expected.length)).toEqual(expected);
  });

  it('every half hour comes every half hour, through both hours', () => {
    expect(instants('*/30 * * * *', BERLIN, '2027-10-30T23:40:00Z', 5)).toEqual([
      ...['2027-10-31T00:00Z', '2027-10-31T00:30Z', '2027-10-31T01:00Z', '2027-10-31T01:30Z', '2027-10-31T02:00Z'],
    ]);
  });
});

it('zones that change by half an hour, or at midnight, are the same kinds', () => {
  expect(instants('15 2 * * *', 'Australia/Lord_Howe', '2027-10-01T20:00:00Z', 2)).toEqual([
    '2027-10-02T15:30Z',
    '2027-10-03T15:15Z',
  ]);
  expect(instants('0 0 * * *', 'America/Sao_Paulo', '2018-11-03T12:00:00Z', 2)).toEqual([
    '2018-11-04T03:00Z',
    '2018-11-05T02:00Z',
  ]);
});

it('an instant depends on the arguments alone: it is later than they say, and the same from any time before it', () => {
  const schedule = { cron: '*/7 3-5 * * 1-5', timeZone: BERLIN };
  let at = Date.parse('2027-03-25T00:00:00Z');
  for (let n = 0; n < 60; n++) {
    const next = nextInstant(schedule, at)!;
    expect(next).toBeGreaterThan(at);
    for (const part of [0, 0.3, 0.999]) {
      expect(nextInstant(schedule, Math.floor(at + part * (next - at)))).toBe(next);
    }
    expect(nextInstant(schedule, next - 1)).toBe(next);
    at = next;
  }
});

it.each([
  ['@daily', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
  ['@weekly', '0 0 * * 0'],
  ['@monthly', '0 0 1 * *'],
  ['@yearly', '0 0 1 1 *'],
])('the nickname %s is %s, also where the clocks are changed', (nickname, cron) => {
  for (const after of ['2027-03-27T12:00:00Z', '2027-10-30T12:00:00Z']) {
    expect(instants(nickname, BERLIN, after)).toEqual(instants(cron, BERLIN, after));
  }
});

it('periods are counted from 1970', () => {
  const every = { everyMs: 1_500, timeZone: 'UTC' };
  expect([0, 1, 1_499, 1_500, 1_501].map((at) => nextInstant(every, at))).toEqual([1_500, 1_500, 1_500, 3_000, 3_000]);
});

it('the fields of six are seconds first', () => {
  expect(nextInstant({ cron: '*/20 * * * * *', timeZone: 'UTC' }, 5_000)).toBe(20_000);
  expect(nextInstant({ cron: '0 0 30 2 *', timeZone: 'UTC' }, 0)).toBeUndefined();
});

it.each([
  '',
  '* * * *',
  '61 * * * *',
  '0 25 * * *',
  'tomorrow',
  '* * * * * * *',
  '2027-10-10T00:00:00',
  '0 0 1 1 * 2099 x',
])('refuses %j', (cron) => {
  expect(cronError(cron, 'UTC')).toEqual(expect.any(String));
});

it('jitter is a time from 0 to jitterMs, the same for the same schedule and instant, and spread', () => {
  const schedule = { id: 'a', jitterMs: 1_000 };
  const times = Array.from({ length: 400 }, (_, n) => dueOf(schedule, n * 60_000) - n * 60_000);
  expect(times.every((ms) => Number.isInteger(ms) && ms >= 0 && ms <= 1_000)).toBe(true);
  expect(times.filter((ms) => ms < 500).length).toBeGreaterThan(120);
  expect(times.filter((ms) => ms >= 500).length).toBeGreaterThan(120);
  expect(dueOf(schedule, 60_000)).toBe(dueOf({ ...schedule }, 60_000));
  expect(dueOf({ id: 'b', jitterMs: 1_000 }, 60_000)).not.toBe(dueOf(schedule, 60_000));
  expect(dueOf({ id: 'a', jitterMs: 0 }, 60_000)).toBe(60_000);
});
