import { setTimeout as pause } from 'node:timers/promises';

/** Polls until `condition` holds, and says whether it did before the deadline. Throws when it is interrupted. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number,
  interrupted: AbortSignal,
): Promise<boolean> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await pause(20, undefined, { signal: interrupted });
  }
  return true;
}
