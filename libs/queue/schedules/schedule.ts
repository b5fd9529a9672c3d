/**
 * When a schedule is due: a cron expression of five fields (or of six, with seconds first), or a period in milliseconds, from
 * 1 000 to 31 days. Periods are counted from 1970-01-01T00:00Z, so every process finds the same instants.
 */
export type ScheduleSpec = string | { readonly everyMs: number };

/** What happens to instants that no process could publish in time, because none was running, or the schedule was paused. */
export type MissedInstants = 'skip' | 'once' | 'all';

/** The options of a schedule. */
export interface ScheduleOptions {
  /** The IANA time zone of a cron expression, for example `'Europe/Berlin'`. Default `'UTC'`. */
  timeZone?: string;
  /**
   * What happens to instants that are more than a minute late: `'skip'` drops them, `'once'` publishes one task for all of them,
   * `'all'` publishes a task for each, the oldest first, at most 1,000 in one step and 10,000 in all. Default `'skip'`.
   */
  missed?: MissedInstants;
  /**
   * Tasks are published up to this many milliseconds after their instants. The time is a hash of schedule and instant, the same
   * in every process. At most a day, and less than `everyMs`. Default 0.
   */
  jitterMs?: number;
}

/** A checked schedule. */
export interface Schedule {
  readonly id: string;
  readonly cron?: string;
  readonly everyMs?: number;
  readonly timeZone: string;
  readonly missed: MissedInstants;
  readonly jitterMs: number;
}

/** A schedule with the payload of its tasks, as they are stored. */
export interface StoredSchedule {
  readonly schedule: Schedule;
  readonly spec: string;
  /** The payload as JSON. */
  readonly payload: string;
  /** Differs where the spec or the payload differs. */
  readonly fingerprint: string;
}
