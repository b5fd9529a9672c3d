import type { Handler } from '../../../queue/handlers/handler.registry.js';
import type { RetryTask } from '../../../queue/index.js';
import { droppedOutcome } from '../../../queue/results/outcome.js';
import { describeError } from '../../../queue/task/describe-error.js';
import { decide, type Disposition } from '../../../queue/worker/settling/retry-policy.js';
import { isSluiceError, SluiceError } from '../../../weave/index.js';
import type { TestingTasks, Waiting } from '../testing-tasks.js';
import type { TestingResults } from './testing-results.js';

/**
 * Settles a run that threw, by the rules of the real queue.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if the handler's `backoff` cannot be used
 */
export function settleRun(
  tasks: TestingTasks,
  results: TestingResults,
  handler: Handler,
  waiting: Waiting,
  thrown: unknown,
): Disposition['kind'] {
  const { options, site } = handler;
  const { maxAttempts, attempt, deferral } = waiting;
  const { defers = 0, deferredMs } = deferral ?? {};
  const context = { options, wallMs: tasks.nowMs(), random: () => 0.5 };
  const disposition = decide({ thrown, retryCount: attempt - 1, maxAttempts, defers, deferredMs }, context);
  if (disposition.kind === 'again') {
    const { backoffError: cause, retryCount, delayMs } = disposition;
    if (cause !== undefined)
      throw new SluiceError('SLUICE_BAD_OPTION', `the backoff of ${site} cannot be used`, { cause });
    const asked = isSluiceError(thrown, 'SLUICE_TASK_RETRY') && (thrown as RetryTask).delayMs !== undefined;
    const counted = retryCount > attempt - 1;
    const dueMs = counted && !asked ? 0 : tasks.nowMs() + delayMs;
    tasks.events.tell(waiting, { type: 'retried', attempt, delayMs: Math.ceil(delayMs), error: words(thrown) });
    tasks.waiting.push({ ...waiting, began: true, attempt: retryCount + 1, dueMs, deferral: disposition.deferral });
  } else if (disposition.kind === 'dead') {
    const letter = tasks.letter(waiting, thrown, disposition.reason);
    tasks.letters(waiting.queue).push({ letter, thrown });
    tasks.history.failed(handler, waiting, letter, disposition.retryCount);
    tasks.events.tell(waiting, { type: 'dead', reason: letter.reason, error: letter.error });
    results.died(waiting, { ...letter, attempts: disposition.retryCount });
    if (options.deadLetterTo !== undefined) tasks.addFailure(options.deadLetterTo, waiting, letter);
  } else {
    tasks.history.dropped(handler, waiting, words(thrown));
    tasks.events.tell(waiting, { type: 'dropped' });
    results.ended(waiting, droppedOutcome(thrown, attempt - 1));
  }
  return disposition.kind;
}

function words(thrown: unknown): string {
  return describeError(thrown).error.toString();
}
