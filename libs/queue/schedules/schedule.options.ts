import { createHash } from 'node:crypto';
import { badOption, checkText, durationMs, oneOf, resolveOptions, show } from '../../weave/index.js';
import { cronError, nextInstant } from './instants.js';
import type { Schedule, ScheduleOptions, StoredSchedule } from './schedule.js';

/** A task's id is made of the schedule's id and 14 characters more. */
const ID_MAX_CHARS = 200;
const DAY_MS = 86_400_000;

/**
 * Checks a schedule.
 *
 * @param path begins the messages: `` `@TaskSchedule('digest') on Reports.digest` ``
 * @throws SluiceError `SLUICE_BAD_OPTION`, which names the field and the value
 */
export function resolveSchedule(path: string, id: unknown, spec: unknown, given?: ScheduleOptions): Schedule {
  const checkedId = checkScheduleId(id, `${path}: id`);
  const options = resolveOptions<Required<ScheduleOptions>>(path, given, {
    timeZone: (value, at) => (value === undefined ? 'UTC' : checkTimeZone(value, at)),
    missed: oneOf(['skip', 'once', 'all'], 'skip'),
    jitterMs: durationMs(0, { min: 0, max: DAY_MS }),
  });
  if (typeof spec === 'string') return { id: checkedId, cron: checkCron(spec, options.timeZone, path), ...options };
  if (typeof spec !== 'object' || spec === null) {
    throw badOption(`${path}: spec`, 'a cron expression, or { everyMs }', spec);
  }
  const { everyMs } = resolveOptions<{ everyMs: number }>(`${path}: spec`, spec, { everyMs: period });
  if (given?.timeZone !== undefined)
    throw badOption(`${path}.timeZone`, 'left out where everyMs is given', given.timeZone);
  if (options.jitterMs >= everyMs)
    throw badOption(`${path}.jitterMs`, `less than everyMs (${everyMs})`, options.jitterMs);
  return { id: checkedId, everyMs, ...options };
}

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkScheduleId(id: unknown, path: string): string {
  const text = checkText(id, path);
  if (text.length > ID_MAX_CHARS) throw badOption(path, `at most ${ID_MAX_CHARS} characters long`, id);
  return text;
}

/** A schedule as it is stored. */
export function storedSchedule(schedule: Schedule, payload: string): StoredSchedule {
  const { cron, everyMs, timeZone, missed, jitterMs } = schedule;
  const spec = JSON.stringify({ cron, everyMs, timeZone, missed, jitterMs });
  const fingerprint = createHash('sha1').update(`${spec}\n${payload}`).digest('base64url').slice(0, 16);
  return { schedule, spec, payload, fingerprint };
}

/** A stored schedule; undefined if this process cannot read it. */
export function scheduleOf(id: string, spec: string): Schedule | undefined {
  try {
    const { cron, everyMs, ...options } = JSON.parse(spec) as Schedule;
    const { timeZone, missed, jitterMs } = options;
    if (cron !== undefined) return resolveSchedule(id, id, cron, { timeZone, missed, jitterMs });
    return resolveSchedule(id, id, { everyMs }, { missed, jitterMs });
  } catch {
    // Other software, or a newer release, may have written anything. The caller reports it.
    return undefined;
  }
}

function period(value: unknown, path: string): number {
  const max = 31 * DAY_MS;
  if (Number.isSafeInteger(value) && (value as number) >= 1_000 && (value as number) <= max) return value as number;
  throw badOption(path, `a whole number of milliseconds from 1000 to ${max} (31 days)`, value);
}

function checkTimeZone(value: unknown, path: string): string {
  try {
    if (typeof value === 'string' && value !== '') new Intl.DateTimeFormat('en', { timeZone: value });
    else throw new TypeError('no time zone');
    return value;
  } catch {
    throw badOption(path, "an IANA time zone, such as 'Europe/Berlin'", value);
  }
}

function checkCron(cron: string, timeZone: string, path: string): string {
  const problem = cronError(cron, timeZone);
  if (problem !== undefined) {
    throw badOption(`${path}: spec`, `a cron expression of five or six fields (${problem})`, cron);
  }
  if (nextInstant({ cron, timeZone }, Date.now()) === undefined) {
    throw badOption(`${path}: spec`, `a cron expression with an instant in the future, not ${show(cron)}`, cron);
  }
  return cron;
}
