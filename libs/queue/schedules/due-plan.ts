import { dueOf, nextInstant } from './instants.js';
import type { Schedule } from './schedule.js';

/** An instant that is published within this time was late, but not missed: a failover of Redis and a restart take less. */
export const LATE_MS = 60_000;
/** How many missed instants of one schedule are published in a row. */
export const MISSED_MOST = 10_000;
/** After any instant that a Date can hold. */
export const NEVER_MS = 8_640_000_000_000_000;

/** The next instant of a schedule, as it is stored. */
export interface ScheduleState {
  /** The next instant. */
  readonly nextMs: number;
  /** How many missed instants have been published since the schedule was last in time. */
  readonly behind: number;
}

/** What to do about a schedule that is due. */
export interface DuePlan {
  /** The instants whose tasks are published, the oldest first. */
  readonly instants: readonly number[];
  /** The next instant after them. */
  readonly followingMs: number;
  /** When its task is published. */
  readonly dueMs: number;
  readonly behind: number;
  /** After this time on the server's clock, the plan must be made again, because an instant in it is missed then. */
  readonly untilMs: number;
  /** Instants from `nextMs` or later, up to `followingMs`, are dropped, because there are more than `MISSED_MOST`. */
  readonly dropped: boolean;
}

/**
 * Decides which instants of a schedule are published at `nowMs`, at most `most`. It depends on its arguments alone, and the
 * script checks the result: a process whose clock is wrong decides as all others.
 */
export function planDue(schedule: Schedule, { nextMs, behind }: ScheduleState, nowMs: number, most: number): DuePlan {
  const isMissed = (instant: number): boolean => nowMs - dueOf(schedule, instant) > LATE_MS;
  if (!isMissed(nextMs) || (schedule.missed === 'all' && behind < MISSED_MOST)) {
    const limit = isMissed(nextMs) ? Math.min(most, MISSED_MOST - behind) : most;
    const { instants, followingMs } = dueFrom(schedule, nextMs, nowMs, limit);
    const isBehind = schedule.missed === 'all' && isMissed(followingMs);
    return planOf(schedule, {
      instants,
      followingMs,
      behind: isBehind ? behind + instants.length : 0,
      firstLateMs: nextMs,
    });
  }
  const from = firstInTime(schedule, nextMs, nowMs, isMissed);
  const { instants, followingMs } = dueFrom(schedule, from, nowMs, most);
  const stands = schedule.missed === 'once' && instants.length === 0;
  return planOf(schedule, {
    ...{ followingMs, behind: 0, firstLateMs: from, dropped: schedule.missed === 'all' },
    instants: stands ? [nextMs] : instants,
  });
}

/** The first instant after `nextMs` that is not missed. */
function firstInTime(
  schedule: Schedule,
  nextMs: number,
  nowMs: number,
  isMissed: (instant: number) => boolean,
): number {
  let instant = after(schedule, Math.max(nextMs, nowMs - LATE_MS - schedule.jitterMs - 1));
  while (isMissed(instant)) instant = after(schedule, instant);
  return instant;
}

/** The instants from `first` that are due, at most `most`, and the one after them. */
function dueFrom(
  schedule: Schedule,
  first: number,
  nowMs: number,
  most: number,
): { instants: number[]; followingMs: number } {
  const instants: number[] = [];
  let instant = first;
  while (instants.length < most && dueOf(schedule, instant) <= nowMs) {
    instants.push(instant);
    instant = after(schedule, instant);
  }
  return { instants, followingMs: instant };
}

function planOf(
  schedule: Schedule,
  plan: { instants: number[]; followingMs: number; behind: number; firstLateMs: number; dropped?: boolean },
): DuePlan {
  const { instants, followingMs, behind, firstLateMs, dropped = false } = plan;
  const holds = schedule.missed === 'all' || instants.length === 0 || instants[0] !== firstLateMs;
  return {
    ...{ instants, followingMs, behind, dropped, dueMs: dueOf(schedule, followingMs) },
    untilMs: holds ? NEVER_MS : dueOf(schedule, firstLateMs) + LATE_MS,
  };
}

function after(schedule: Schedule, instant: number): number {
  return nextInstant(schedule, instant) ?? NEVER_MS;
}
