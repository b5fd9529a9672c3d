import { isSluiceError, type SluiceErrorCode } from '../../../weave/index.js';
import { defaultBackoff, exponentially } from '../../task/backoff.js';
import { isDelay } from '../../task/delay.js';
import { reasonText, type DeadLetterTask } from '../../control-flow.js';
import type { ResolvedHandlerOptions } from '../../handler.options.js';
import type { FailedRun } from '../../task/delivery.js';

/** What happens to a task whose handler threw. */
export type Disposition =
  | { readonly kind: 'done' }
  | {
      readonly kind: 'again';
      /** Failed runs that count, from now on. */
      readonly retryCount: number;
      readonly delayMs: number;
      /** Set while the attempt is deferred because of a backend. */
      readonly deferral?: { readonly defers: number; readonly deferredMs: number };
      /** What the handler's `backoff` threw, for the log. */
      readonly backoffError?: unknown;
    }
  | { readonly kind: 'dead'; readonly retryCount: number; readonly reason: string };

export interface RetryPolicyContext {
  readonly options: ResolvedHandlerOptions;
  readonly wallMs: number;
  readonly random: () => number;
}

const DEFER_BASE_MS = 1_000;
const DEFER_MAX_MS = 60_000;

/** Decides by what was thrown. Errors are recognised by brand and code, so those of another copy of the package count as well. */
export function decide(run: FailedRun, context: RetryPolicyContext): Disposition {
  const { thrown, retryCount } = run;
  if (isSluiceError(thrown, 'SLUICE_TASK_DROP')) return { kind: 'done' };
  if (isSluiceError(thrown, 'SLUICE_TASK_SNOOZE')) {
    const delayMs = delayOf(thrown);
    if (delayMs !== undefined) return { kind: 'again', retryCount, delayMs };
  }
  if (isSluiceError(thrown, 'SLUICE_TASK_DEAD_LETTER')) {
    return { kind: 'dead', retryCount: retryCount + 1, reason: reasonText((thrown as DeadLetterTask).reason) };
  }
  // This is no attempt, because the handler did not run.
  if (isSluiceError(thrown, 'SLUICE_TASK_BAD_PAYLOAD')) return { kind: 'dead', retryCount, reason: 'bad-payload' };
  if (BACKEND_CODES.some((code) => isSluiceError(thrown, code))) return defer(run, context);
  return countAttempt(run, context);
}

/**
 * Errors that a backend causes and not the task: a lock was busy, a rate limit was used up, Redis was out of reach, or a newer
 * release keeps data in a lock or queue, so that only a process of that release can run the task. They are recognised by code,
 * because the queue knows neither locks nor rate limits. Only waiting helps, so such an error uses no attempt. `maxDeferMs` limits
 * the waiting.
 */
const BACKEND_CODES: readonly SluiceErrorCode[] = [
  'SLUICE_LOCK_TIMEOUT',
  'SLUICE_RATE_LIMITED',
  'SLUICE_REDIS_UNAVAILABLE',
  'SLUICE_PUBLISH_UNCONFIRMED',
  'SLUICE_NEWER_DATA',
];

function defer(run: FailedRun, { options, wallMs, random }: RetryPolicyContext): Disposition {
  const { retryCount, defers, deferredMs = wallMs } = run;
  if (wallMs - deferredMs >= options.maxDeferMs) return { kind: 'dead', retryCount, reason: 'max-defer' };
  const deferral = { defers: defers + 1, deferredMs };
  const { retryAfterMs } = run.thrown as { retryAfterMs?: unknown };
  // A rate limit knows when it has room again.
  if (isSluiceError(run.thrown, 'SLUICE_RATE_LIMITED') && isDelay(retryAfterMs))
    return { kind: 'again', retryCount, delayMs: retryAfterMs, deferral };
  // The fixed part gives the backend some time. The random part spreads tasks that were deferred together.
  const delayMs = DEFER_BASE_MS / 2 + exponentially(defers + 1, DEFER_BASE_MS, DEFER_MAX_MS, random);
  return { kind: 'again', retryCount, delayMs: Math.min(DEFER_MAX_MS, delayMs), deferral };
}

function countAttempt(run: FailedRun, { options, random }: RetryPolicyContext): Disposition {
  const { thrown } = run;
  const retryCount = run.retryCount + 1;
  const { maxAttempts = options.maxAttempts, backoff = options.backoff } = run;
  if (retryCount >= maxAttempts) return { kind: 'dead', retryCount, reason: 'max-attempts' };
  const asked = isSluiceError(thrown, 'SLUICE_TASK_RETRY') ? delayOf(thrown) : undefined;
  if (asked !== undefined) return { kind: 'again', retryCount, delayMs: asked };
  try {
    return { kind: 'again', retryCount, delayMs: backoff(retryCount, thrown, random) };
  } catch (backoffError) {
    return { kind: 'again', retryCount, delayMs: defaultBackoff(retryCount, thrown, random), backoffError };
  }
}

/**
 * The delay that a handler asks for; undefined: this delay is not possible. The run then counts as a failure, or the task would
 * never be settled.
 */
function delayOf(thrown: unknown): number | undefined {
  const { delayMs } = thrown as { delayMs?: unknown };
  return isDelay(delayMs) ? delayMs : undefined;
}
