import { setTimeout as pause } from 'node:timers/promises';

export interface UntilOptions {
  /** What is waited for, in the words of the failure: `until ${what}`. */
  what: string;
  deadlineMs?: number;
  everyMs?: number;
}

/**
 * Polls `condition` until it returns something truthy, and returns that. Past the deadline (10 s) it rejects and names
 * `what` and the last answer. An error of `condition` ends it at once: a condition that is not yet true returns false.
 */
export async function until<T>(condition: () => T | Promise<T>, options: UntilOptions): Promise<NonNullable<T>> {
  const { what, deadlineMs = 10_000, everyMs = 20 } = options;
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (performance.now() > deadline) {
      throw new Error(`waited ${deadlineMs} ms until ${what}; the last answer was ${String(answer)}`);
    }
    await pause(everyMs);
  }
}
