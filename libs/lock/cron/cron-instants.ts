/**
 * What is used of `CronTime`, of the `cron` package that @nestjs/schedule brings. The objects come from the app's own
 * scheduler, so this package imports neither.
 *
 * @see https://github.com/kelektiv/node-cron
 */
export interface CronTime {
  /** The expression; the date itself of a job that runs once. */
  readonly source: string | { toMillis(): number };
  /** True for a job that runs once, at a date. */
  readonly realDate: boolean;
  readonly timeZone?: string;
  /** Minutes, instead of a time zone. */
  readonly utcOffset?: number;
  /** The first instant after the second that `start` lies in. */
  getNextDateFrom(start: Date, timeZone?: string): ZonedDate;
}

/** Of a Luxon `DateTime`: an instant, and how many minutes its zone is ahead of UTC then. */
interface ZonedDate {
  toMillis(): number;
  readonly offset: number;
}

/** A mark is kept for one period of the schedule, but no longer than this; a run later than this is missed. */
const DAY_MS = 25 * 3_600_000;
/** What a mark is kept beyond that. */
const MARGIN_MS = 10_000;
/** How long the mark of an instant is kept whose schedule is unknown. */
export const LONGEST_MARK_MS = DAY_MS + MARGIN_MS;

export interface ScheduledInstant {
  readonly instantMs: number;
  /** How long it must be remembered that this instant is done. */
  readonly keepMs: number;
  /** From this instant to the next one; Infinity if there is none. */
  readonly periodMs: number;
}

/**
 * The scheduled instant that a call of the scheduler at `nowMs` stands for: the last one that has passed, however late the
 * call is. Undefined if that is more than a day ago. A timer is never early on its own clock, and every process reads its
 * own clock, so all processes agree on the instant although their clocks and timers differ.
 *
 * Where clocks are put back, an hour has two instants of each local time. `cron` calls a job of that hour in the first of
 * them, and an hourly job in both; but a process that starts in between takes the second for the first. Its instant
 * is then the last one of the other processes, which is done.
 *
 * The mark outlives every process that is late or whose clock is behind by up to one period (at most 25 h).
 */
export function scheduledInstant(time: CronTime, nowMs: number): ScheduledInstant | undefined {
  const found = previous(time, nowMs, DAY_MS);
  if (found === undefined) return undefined;
  const instantMs = typeof time.source === 'string' ? ofFirstComing(time, found) : found;
  const periodMs = time.realDate ? Infinity : next(time, instantMs) - instantMs;
  return { instantMs, periodMs, keepMs: Math.min(periodMs, DAY_MS) + MARGIN_MS };
}

/** The last instant up to `nowMs`, if it is at most `withinMs` old. The expression can only be asked forward. */
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
    // In a half hour that comes twice, `cron` answers with its first coming also the second time: walking on would never end.
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
 * The instant itself. But if its local time has come before, when the clocks were not yet put back, the schedule that is walked
 * from there never comes to this instant. Then the result is the last instant before the clocks were put back.
 */
function ofFirstComing(time: CronTime, instantMs: number): number {
  const { offset } = nextDate(time, instantMs - 1);
  const backMs = (nextDate(time, instantMs - HOUR_MS - 1).offset - offset) * 60_000;
  if (backMs <= 0 || next(time, instantMs - backMs - 1) !== instantMs - backMs) return instantMs;
  // Of two moments a second apart, the last instant before the change follows on the one, and one behind it on the other.
  let [low, high] = [instantMs - backMs - 1, instantMs - 1];
  while (high - low > 1_000) {
    const middle = (low + high) / 2;
    if (nextDate(time, middle).offset === offset) high = middle;
    else low = middle;
  }
  const lastMs = next(time, low);
  return next(time, lastMs) <= instantMs ? instantMs : lastMs;
}

/** Minutes east of Greenwich as the name of a zone: 330 → `UTC+5:30`. */
function zoneOf(utcOffset: number | undefined): string | undefined {
  if (utcOffset === undefined) return undefined;
  const minutes = Math.abs(utcOffset);
  return `UTC${utcOffset < 0 ? '-' : '+'}${Math.trunc(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}`;
}
