import type { Clock } from '../../../redis/index.js';

/** Waits for all of these, but not longer than `ms`. None of them may reject. */
export function allWithin(clock: Clock, ms: number, waits: readonly Promise<void>[]): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.timer(ms, resolve);
    void Promise.all(waits).then(() => {
      cancel();
      resolve();
    });
  });
}
