import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import { GenerationalMap } from '../../redis/index.js';
import type { Schedule } from './schedule.js';

/** Reading an expression takes some tens of microseconds. */
const crons = new GenerationalMap<string, Cron>({ size: 1_000 });

function cronOf(cron: string, timeZone: string): Cron {
  const key = `${timeZone} ${cron}`;
  const known = crons.get(key);
  if (known !== undefined) return known;
  // An expression without `*` and `/` in its time of day names fixed times: each of them comes once a day, also on the days on
  // which the clocks are changed.
  const made = new Cron(cron, { timezone: timeZone, paused: true, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' });
  crons.set(key, made);
  return made;
}

/** What is wrong with a cron expression; undefined: nothing. */
export function cronError(cron: string, timeZone: string): string | undefined {
  // The library also takes dates, for tasks that run once.
  if (cron.includes(':')) return 'not a date: publish with runAt for one task';
  try {
    cronOf(cron, timeZone);
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^CronPattern: /, '');
  }
}

/**
 * The first instant of a schedule after `afterMs`, in milliseconds since 1970; undefined: there is none. It depends on the
 * arguments alone, and on no clock.
 */
export function nextInstant(
  { cron, everyMs = 0, timeZone }: Pick<Schedule, 'cron' | 'everyMs' | 'timeZone'>,
  afterMs: number,
): number | undefined {
  if (cron === undefined) return (Math.floor(afterMs / everyMs) + 1) * everyMs;
  return cronOf(cron, timeZone).nextRun(new Date(afterMs))?.getTime();
}

/** When the task of an instant is published: the instant, and up to `jitterMs` more. */
export function dueOf({ id, jitterMs }: Pick<Schedule, 'id' | 'jitterMs'>, instantMs: number): number {
  if (jitterMs === 0) return instantMs;
  const part = createHash('sha1').update(`${id}@${instantMs}`).digest().readUInt32BE() / 2 ** 32;
  return instantMs + Math.floor(part * (jitterMs + 1));
}
