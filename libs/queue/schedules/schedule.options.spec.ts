import { expect, it } from '@jest/globals';
import type { ScheduleOptions } from './schedule.js';
import { resolveSchedule, scheduleOf, storedSchedule } from './schedule.options.js';

const resolve = (spec: unknown, options?: unknown, id: unknown = 'nightly'): unknown =>
  resolveSchedule('@TaskSchedule on Reports.send', id, spec, options as ScheduleOptions);

it('has defaults, and keeps what is given', () => {
  expect(resolve('0 3 * * *')).toEqual({
    id: 'nightly',
    cron: '0 3 * * *',
    timeZone: 'UTC',
    missed: 'skip',
    jitterMs: 0,
  });
  expect(resolve({ everyMs: 5_000 }, { missed: 'all', jitterMs: 100 })).toEqual({
    ...{ id: 'nightly', everyMs: 5_000, timeZone: 'UTC', missed: 'all', jitterMs: 100 },
  });
  expect(resolve('@daily', { timeZone: 'Europe/Berlin' })).toMatchObject({ cron: '@daily', timeZone: 'Europe/Berlin' });
});

it.each([
  ['an unreadable expression', '61 * * * *', {}, 'spec'],
  ['an expression without any instant', '0 0 30 2 *', {}, 'spec'],
  ['a date', '2030-01-01T00:00:00', {}, 'spec'],
  ['no spec', undefined, {}, 'spec'],
  ['a number', 1_000, {}, 'spec'],
  ['a period of nothing', { everyMs: 0 }, {}, 'everyMs'],
  ['a period below a second', { everyMs: 999 }, {}, 'everyMs'],
  ['a period that is no whole number', { everyMs: 1_000.5 }, {}, 'everyMs'],
  ['a period of months', { everyMs: 32 * 86_400_000 }, {}, 'everyMs'],
  ['an unknown member', { every: 5_000 }, {}, 'every'],
  ['an unknown zone', '0 3 * * *', { timeZone: 'Mars/Base' }, 'timeZone'],
  ['a zone beside a period', { everyMs: 5_000 }, { timeZone: 'UTC' }, 'timeZone'],
  ['an unknown word', '0 3 * * *', { missed: 'run-once' }, 'missed'],
  ['a negative jitter', '0 3 * * *', { jitterMs: -1 }, 'jitterMs'],
  ['a jitter of days', '0 3 * * *', { jitterMs: 90_000_000 }, 'jitterMs'],
  ['a jitter as long as the period', { everyMs: 5_000 }, { jitterMs: 5_000 }, 'jitterMs'],
  ['an unknown option', '0 3 * * *', { tz: 'UTC' }, 'tz'],
])('refuses %s, and names the field', (_, spec, options, field) => {
  expect(() => resolve(spec, options)).toThrow(
    expect.objectContaining({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringMatching(new RegExp(`Reports.send.*${field}`)),
    }),
  );
});

it.each([[null], [''], [7], ['x'.repeat(201)]])('refuses the id %j', (id) => {
  expect(() => resolve('0 3 * * *', {}, id)).toThrow(
    expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining('id') }),
  );
});

it('is stored as text that gives the same schedule again, with a fingerprint of spec and payload', () => {
  const schedule = resolveSchedule('x', 'nightly', '0 3 * * *', { timeZone: 'Europe/Berlin', jitterMs: 5 });
  const stored = storedSchedule(schedule, '{"n":1}');
  expect(scheduleOf('nightly', stored.spec)).toEqual(schedule);
  expect(storedSchedule(schedule, '{"n":1}').fingerprint).toBe(stored.fingerprint);
  expect(storedSchedule(schedule, '{"n":2}').fingerprint).not.toBe(stored.fingerprint);
  expect(storedSchedule({ ...schedule, jitterMs: 6 }, '{"n":1}').fingerprint).not.toBe(stored.fingerprint);
  const every = resolveSchedule('x', 'often', { everyMs: 5_000 });
  expect(scheduleOf('often', storedSchedule(every, '1').spec)).toEqual(every);
  expect(['', 'null', '{}', '{"cron":7}', '{"everyMs":1}'].map((spec) => scheduleOf('x', spec))).toEqual([
    ...[undefined, undefined, undefined, undefined, undefined],
  ]);
});
