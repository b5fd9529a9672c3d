import { types } from 'node:util';
import { SluiceError } from '../weave/index.js';
import { delay } from './task/delay.js';

/** The options of {@link RetryTask} and {@link SnoozeTask}. */
export interface DelayOptions {
  /** After how many milliseconds from now the task runs again. */
  delayMs: number;
  /** The reason, for the log. */
  cause?: unknown;
}

/**
 * Thrown by a handler: this run has failed, and the task runs again after `delayMs` instead of after the handler's `backoff`.
 *
 * It uses an attempt: after `maxAttempts` failed attempts the task is a dead letter. Without `delayMs`, `backoff` decides.
 *
 * @example
 * if (response.status === 429) throw new RetryTask({ delayMs: retryAfterMs });
 */
export class RetryTask extends SluiceError {
  readonly delayMs: number | undefined;

  constructor({ delayMs, cause }: Partial<DelayOptions> = {}) {
    super('SLUICE_TASK_RETRY', 'the handler asks for a retry', { cause });
    if (delayMs !== undefined) this.delayMs = checkDelay(delayMs);
  }
}

/**
 * Thrown by a handler: the task cannot run now, and runs again after `delayMs`. This is no failure and uses no attempt, however
 * often it is thrown.
 *
 * @example
 * if (!(await shop.isOpen())) throw new SnoozeTask({ delayMs: 60_000 });
 */
export class SnoozeTask extends SluiceError {
  readonly delayMs: number;

  constructor({ delayMs, cause }: DelayOptions) {
    super('SLUICE_TASK_SNOOZE', 'the handler snoozes the task', { cause });
    this.delayMs = checkDelay(delayMs);
  }
}

/** Thrown by a handler: the task is not needed any more. It is acknowledged as if it had succeeded, without a dead letter. */
export class DropTask extends SluiceError {
  constructor(reason = 'the handler drops the task', options?: { cause?: unknown }) {
    super('SLUICE_TASK_DROP', reason, options);
  }
}

/**
 * Thrown by a handler: the task can never succeed. It becomes a dead letter with this reason at once, even if attempts are left.
 * `task.deadLetter(reason)` throws this error.
 */
export class DeadLetterTask extends SluiceError {
  /** Never empty: a reason that is empty or no text is replaced by text. */
  readonly reason: string;

  constructor(reason: string, options?: { cause?: unknown }) {
    const text = reasonText(reason);
    super('SLUICE_TASK_DEAD_LETTER', text, options);
    this.reason = text;
  }
}

const REASON_CHARS = 1_024;
const toText: (value: unknown) => string = String;

/** A dead letter's reason as text. Plain JavaScript, or an `any`, may pass any value: an error, a list, nothing. */
export function reasonText(reason: unknown): string {
  try {
    const text = types.isNativeError(reason) ? reason.message : toText(reason ?? '');
    return text.trim() === '' ? 'dead-letter' : text.slice(0, REASON_CHARS);
  } catch {
    return 'dead-letter';
  }
}

const checkDelay = (delayMs: number): number => delay(delayMs, 'delayMs');
