import { setTimeout as pause } from 'node:timers/promises';

/** Milliseconds on a clock that all processes of this machine share and that never steps. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Resolves at that time, or at once if it has passed. */
export async function until(atMs: number): Promise<void> {
  const restMs = atMs - nowMs();
  if (restMs > 0) await pause(restMs);
}
