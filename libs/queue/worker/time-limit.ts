import type { Clock } from '../../redis/index.js';
import type { Delivery } from '../task/delivery.js';
import { TaskTimeoutError } from '../queue.errors.js';

/** How long to wait, at most, for a handler that ignores its signal. */
const GRACE_MS = 5_000;

/**
 * Runs a handler for `timeoutMs`, then aborts its signal. After another `timeoutMs` (at most 5 s) the promise rejects with a
 * {@link TaskTimeoutError}. The handler cannot be stopped. What it does after that is ignored. Resolves to what it returned.
 */
export function withinTime(
  clock: Clock,
  timeoutMs: number,
  delivery: Pick<Delivery, 'taskId' | 'abort'>,
  run: () => Promise<unknown>,
): Promise<unknown> {
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
