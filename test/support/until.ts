import { setTimeout as pause } from 'node:timers/promises';

export interface UntilOptions {
  /** What is waited for, in the words of the failure: `until ${what}`. */
  what: string;
  deadlineMs?: number;
  everyMs?: number;
}

/**
 * Long, because it costs nothing while tests pass, and a loaded machine may be ten times slower. `npm run mutants` shortens it,
 * for many a seeded fault makes a test wait until its deadline.
 */
const DEADLINE_MS = Number(process.env['SLUICE_UNTIL_MS'] ?? 300_000);

/** The deadline of what has to come before something else would bring it about, such as the end of a life of 60 s. */
export const SOON_MS = Math.min(30_000, DEADLINE_MS);

/** What `if (answer)` leaves of a type. */
type Truthy<T> = Exclude<T, false | 0 | 0n | '' | null | undefined>;

/**
 * Polls `condition` until it returns something truthy, and returns that. Past the deadline (5 min) it rejects and names
 * `what` and the last answer. An error of `condition` ends it at once: a condition that is not yet true returns false.
 */
export async function until<T>(condition: () => T | Promise<T>, options: UntilOptions): Promise<Truthy<T>> {
  const { what, deadlineMs = DEADLINE_MS, everyMs = 20 } = options;
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await condition();
    if (answer) return answer as Truthy<T>;
    if (performance.now() > deadline) {
      throw new Error(`waited ${deadlineMs} ms until ${what}; the last answer was ${String(answer)}`);
    }
    await pause(everyMs);
  }
}
