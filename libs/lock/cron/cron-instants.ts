/**
 * The part of `CronTime` that is used here. `CronTime` belongs to the `cron` package, a dependency of @nestjs/schedule. The
 * objects come from the app's own scheduler, so this package imports neither of the two packages.
 *
 * @see https://github.com/kelektiv/node-cron
 */
export interface CronTime {
  /** The expression. For a job that runs once: the date. */
  readonly source: string | { toMillis(): number };
  /** True for a job that runs once, at a date. */
  readonly realDate: boolean;
  readonly timeZone?: string;
  /** The offset from UTC in minutes, instead of a time zone. */
  readonly utcOffset?: number;
  /** The first instant after the second in which `start` lies. */
  getNextDateFrom(start: Date, timeZone?: string): ZonedDate;
}

/** The part of a Luxon `DateTime` that is used here: an instant, and how many minutes its zone is then ahead of UTC. */
interface ZonedDate {
  toMillis(): number;
  readonly offset: number;
}

/** A mark is kept for one period of the schedule, but no longer than these 25 hours. A call that is later is a missed run. */
const DAY_MS = 25 * 3_600_000;
/** A mark is kept this much longer than that, in milliseconds. */
const MARGIN_MS = 10_000;
/** If the schedule is unknown, the mark of an instant is kept for this time, in milliseconds. */
export const LONGEST_MARK_MS = DAY_MS + MARGIN_MS;

export interface ScheduledInstant {
  readonly instantMs: number;
  /** How long the mark that this instant is done must be kept, in milliseconds. */
  readonly keepMs: number;
  /** The time from this instant to the next one, in milliseconds; Infinity if there is no next one. */
  readonly periodMs: number;
}

/**
 * The scheduled instant of a call that the scheduler makes at `nowMs`: the last instant that has passed, even if the call is
 * late. Undefined if that instant is more than 25 hours ago. A timer never fires early on its own clock, and every process reads
 * its own clock. So all processes find the same instant, although their clocks and timers differ.
 *
 * When the clocks are put back, each local time of one hour comes twice. `cron` calls a job of that hour the first time, and an
 * hourly job both times. But a process that starts between the two takes the second time for the first. Then its instant is the
 * last instant of the other processes, which is already done.
 *
 * The mark is kept long enough for every process that is late, or whose clock is behind, by up to one period (at most 25 h).
 */
export function scheduledInstant(time: CronTime, nowMs: number): ScheduledInstant | undefined {
  const found = previous(time, nowMs, DAY_MS);
  if (found === undefined) return undefined;
  const instantMs = typeof time.source === 'string' ? ofFirstComing(time, found) : found;
  const periodMs = time.realDate ? Infinity : next(time, instantMs) - instantMs;
  return { instantMs, periodMs, keepMs: Math.min(periodMs, DAY_MS) + MARGIN_MS };
}

/** The last instant up to `nowMs`, if it is at most `withinMs` old. `cron` can only search forward, from an earlier time. */
function previous(time: CronTime, nowMs: number, withinMs: number): number | undefined {
  for (let backMs = 2_000; ; backMs = Math.min(backMs * 4, withinMs)) {
    let found: number | undefined;
    for (let at = next(time, nowMs - backMs - 1); at <= nowMs; at = next(time, at)) found = at;
    if (found !== undefined || backMs === withinMs) return found;
  }
}

/** Half an hour: how far the clocks of Lord Howe Island are set back in autumn. */
const SHORTEST_DST_MS = 1_800_000;

function next(time: CronTime, afterMs: number): number {
  if (typeof time.source === 'string') {
    const nextMs = nextDate(time, afterMs).toMillis();
    // When a half hour comes twice, `cron` answers the second time with instants of the first time. The walk would never end.
    return nextMs > afterMs ? nextMs : next(time, afterMs + SHORTEST_DST_MS);
  }
  const dateMs = time.source.toMillis();
  return dateMs > afterMs ? dateMs : Infinity;
}

function nextDate(time: CronTime, afterMs: number): ZonedDate {
  return time.getNextDateFrom(new Date(afterMs), time.timeZone ?? zoneOf(time.utcOffset));
}

const HOUR_MS = 3_600_000;

/**
 * Usually the instant itself. There is one exception: its local time came once before, when the clocks were not yet put back, and
 * a walk along the schedule from there does not reach this instant. Then the result is the last instant before the change.
 */
function ofFirstComing(time: CronTime, instantMs: number): number {
  const { offset } = nextDate(time, instantMs - 1);
  const backMs = (nextDate(time, instantMs - HOUR_MS - 1).offset - offset) * 60_000;
  if (backMs <= 0 || next(time, instantMs - backMs - 1) !== instantMs - backMs) return instantMs;
  // At the end, `low` and `high` are at most a second apart. The last instant before the change follows `low`, and an instant
  // after the change follows `high`.
  let [low, high] = [instantMs - backMs - 1, instantMs - 1];
  while (high - low > 1_000) {
    const middle = (low + high) / 2;
    if (nextDate(time, middle).offset === offset) high = middle;
    else low = middle;
  }
  const lastMs = next(time, low);
  return next(time, lastMs) <= instantMs ? instantMs : lastMs;
}

/** An offset in minutes east of Greenwich as the name of a zone: 330 → `UTC+5:30`. */
function zoneOf(utcOffset: number | undefined): string | undefined {
  if (utcOffset === undefined) return undefined;
  const minutes = Math.abs(utcOffset);
  return `UTC${utcOffset < 0 ? '-' : '+'}${Math.trunc(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}`;
}
