import type { Clock } from '../redis/index.js';
import type { Delivery } from './delivery.js';
import { TaskTimeoutError } from './queue.errors.js';

/** How long a handler that ignores its signal is waited for, at most. */
const GRACE_MS = 5_000;

/**
 * Runs a handler for `timeoutMs`, then aborts its signal, and after as long again (at most 5 s) gives it up: rejects
 * with a {@link TaskTimeoutError}. What a handler still does after that cannot be stopped, only ignored.
 */
export function withinTime(
  clock: Clock,
  timeoutMs: number,
  delivery: Delivery,
  run: () => Promise<void>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let cancel = clock.timer(timeoutMs, () => {
      const late = new TaskTimeoutError(delivery.taskId, timeoutMs);
      cancel = clock.timer(Math.min(timeoutMs, GRACE_MS), () => {
        reject(late);
      });
      delivery.abort(late);
    });
    void run()
      .then(resolve, reject)
      .then(() => {
        cancel();
      });
  });
}
