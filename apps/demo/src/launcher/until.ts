import { setTimeout as pause } from 'node:timers/promises';

/** Far longer than any step takes, on a machine that is ten times slower. */
const DEADLINE_MS = 300_000;

/** Polls until `condition` holds, and says whether it did before the deadline. Throws when it is interrupted. */
export async function until(condition: () => boolean | Promise<boolean>, interrupted: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await pause(20, undefined, { signal: interrupted });
  }
  return true;
}
