import { expect, it } from '@jest/globals';
import type { CalendarUnit } from '../limit.options.js';
import { Calendar } from './calendar-window.js';

it.each<[string, CalendarUnit, string, string, string, string]>([
  ['a day', 'day', 'UTC', '2026-11-29T13:00:00Z', '2026-11-29T00:00:00Z', '2026-11-30T00:00:00Z'],
  ['the first moment of a day', 'day', 'UTC', '2026-11-29T00:00:00Z', '2026-11-29T00:00:00Z', '2026-11-30T00:00:00Z'],
  [
    'the last moment of a day',
    'day',
    'UTC',
    '2026-11-29T23:59:59.999Z',
    '2026-11-29T00:00:00Z',
    '2026-11-30T00:00:00Z',
  ],
  [
    'a day of another zone',
    'day',
    'Asia/Tokyo',
    '2026-11-29T15:00:00Z',
    '2026-11-29T15:00:00Z',
    '2026-11-30T15:00:00Z',
  ],
  ['a day of 23 hours', 'day', 'Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'],
  ['a day of 25 hours', 'day', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'],
  [
    'a day without a midnight',
    'day',
    'America/Sao_Paulo',
    '2018-11-04T12:00:00Z',
    '2018-11-04T03:00:00Z',
    '2018-11-05T02:00:00Z',
  ],
  [
    'half an hour beside UTC',
    'day',
    'Asia/Kolkata',
    '2026-11-29T18:29:00Z',
    '2026-11-28T18:30:00Z',
    '2026-11-29T18:30:00Z',
  ],
  ['a week from Monday', 'week', 'UTC', '2026-11-29T13:00:00Z', '2026-11-23T00:00:00Z', '2026-11-30T00:00:00Z'],
  ['a Monday', 'week', 'UTC', '2026-11-30T00:00:00Z', '2026-11-30T00:00:00Z', '2026-12-07T00:00:00Z'],
  ['a month', 'month', 'UTC', '2026-12-31T23:00:00Z', '2026-12-01T00:00:00Z', '2027-01-01T00:00:00Z'],
  ['a February', 'month', 'UTC', '2028-02-29T01:00:00Z', '2028-02-01T00:00:00Z', '2028-03-01T00:00:00Z'],
])('%s', (_, unit, zone, at, start, end) => {
  const { startMs, endMs } = new Calendar(unit, zone).at(Date.parse(at));
  expect([new Date(startMs).toISOString(), new Date(endMs).toISOString()]).toEqual(
    [start, end].map((text) => new Date(text).toISOString()),
  );
});

it.each(['UTC', 'Europe/Berlin', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Africa/Casablanca'])(
  'the days of %s follow each other without a gap',
  (zone) => {
    const calendar = new Calendar('day', zone);
    let at = Date.parse('2017-12-31T12:00:00Z');
    for (let day = 0; day < 800; day++) {
      const { endMs } = calendar.at(at);
      expect(calendar.at(endMs).startMs).toBe(endMs);
      expect(calendar.at(endMs - 1).endMs).toBe(endMs);
      at = endMs;
    }
  },
);
