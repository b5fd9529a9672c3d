import { inspect } from 'node:util';
import type { Link } from '../redis/index.js';
import type { Delivery } from './delivery.js';
import type { Persistence } from './persist.js';
import type { QueueKeys } from './queue.keys.js';
import { settleFailureScript, type Settlement } from './scripts/settle-failure.script.js';

export interface FailuresOptions {
  link: Link;
  keys: QueueKeys;
  /** Where retries go while several groups read the queue. */
  retry: string;
  queue: string;
  group: string;
  consumer: string;
  maxAttempts: number;
  persistence: Persistence;
  log: { warn(message: string): void; error(message: string, stack?: string): void };
}

/** Settles runs that failed and entries that cannot run. */
export class Failures {
  readonly #options: FailuresOptions;

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** Its handler threw: queued again, or a dead letter after the last attempt. Resolves to false if it was given up. */
  threw(site: string, delivery: Delivery, thrown: unknown): Promise<boolean> {
    const { maxAttempts, log } = this.#options;
    const attempts = delivery.retryCount + 1;
    const { error, stack } = describeError(thrown);
    const what = `${site} failed on task ${delivery.taskId}, attempt ${attempts} of ${maxAttempts}: ${error.toString()}`;
    const last = attempts >= maxAttempts;
    if (last) log.error(`${what}; it is a dead letter now`, stack.toString());
    else log.warn(what);
    return this.#settle(delivery, { attempts, reason: last ? 'max-attempts' : '', error, stack });
  }

  /** It never became a task: a dead letter, whose neighbours run. */
  unreadable(delivery: Delivery): Promise<boolean> {
    const { reason = 'bad-payload', message = '' } = delivery.unreadable ?? {};
    this.#options.log.error(`entry ${delivery.id} of queue '${this.#options.queue}' is a dead letter: ${message}`);
    const words = { error: Buffer.from(message), stack: Buffer.alloc(0) };
    return this.#settle(delivery, { attempts: delivery.retryCount, reason, ...words });
  }

  #settle(
    { id, deliveries, nextMeta }: Delivery,
    { attempts, reason, error, stack }: { attempts: number; reason: string; error: Buffer; stack: Buffer },
  ): Promise<boolean> {
    const { link, keys, retry, queue, group, consumer, persistence } = this.#options;
    const what = { id, deliveries, attempts: String(attempts), meta: nextMeta, reason, failure: error, stack };
    return persistence.until(`settling a failed task of queue '${queue}'`, (): Promise<Settlement> =>
      settleFailureScript.run(link, {
        keys: { stream: keys.stream, retry, dead: keys.dead },
        args: { group, consumer, ...what },
      }),
    );
  }
}

const ERROR_BYTES = 1_024;
const STACK_BYTES = 4_096;

/** Whatever was thrown, in words: at most 1 KB for the error and 4 KB for its stack. Never throws itself. */
export function describeError(thrown: unknown): { error: Buffer; stack: Buffer } {
  try {
    if (!(thrown instanceof Error)) {
      return {
        error: clip(typeof thrown === 'string' ? thrown : inspect(thrown), ERROR_BYTES),
        stack: Buffer.alloc(0),
      };
    }
    return {
      error: clip(`${thrown.name}: ${thrown.message}`, ERROR_BYTES),
      stack: clip(thrown.stack ?? '', STACK_BYTES),
    };
  } catch {
    return { error: Buffer.from('something that cannot be shown was thrown'), stack: Buffer.alloc(0) };
  }
}

/** At most so many bytes of UTF-8, whole characters only. */
function clip(text: string, bytes: number): Buffer {
  const whole = Buffer.from(text.slice(0, bytes));
  if (whole.length <= bytes) return whole;
  let end = bytes;
  // Bytes 10xxxxxx continue a character.
  while (((whole[end] ?? 0) & 0xc0) === 0x80) end--;
  return whole.subarray(0, end);
}
