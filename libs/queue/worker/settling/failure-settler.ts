import type { Clock, Link } from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import type { WorkerEvents } from '../../events/worker-events.js';
import type { RunRecords } from '../../history/run-records.js';
import type { Delivery } from '../../task/delivery.js';
import { describeError } from '../../task/describe-error.js';
import type { RetryUntilConfirmed } from './retry-until-confirmed.js';
import { channels, type TaskCancelledMessage } from '../../observe/queue.channels.js';
import { debug } from '../../observe/queue.debug.js';
import type { OrderKeys } from '../admission/fleet-limits.js';
import type { QueueKeys } from '../../store/queue.keys.js';
import type { ResolvedHandlerOptions } from '../../handler.options.js';
import { settleFailureScript } from '../../store/scripts/settle-failure.script.js';
import { keyOf } from '../ordered/key-of.js';
import { decide, type Disposition } from './retry-policy.js';

export interface FailureSettlerOptions {
  link: Link;
  keys: QueueKeys;
  /** The stream to which failures are published; undefined: none is. */
  failedTo: string | undefined;
  /** Where retries go while several groups read the queue. */
  retryKeys: QueueKeys;
  /** The order of the queue's tasks; undefined: they have none. */
  order?: OrderOf | undefined;
  queue: string;
  group: string;
  consumer: string;
  options: ResolvedHandlerOptions;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  clock: Clock;
  listener: {
    /** A task for `stream` was delayed: it must be promoted in `delayMs`. */
    delayed(stream: string, delayMs: number): void;
    /** A task was put into `stream`, the group's own retries, or will be: the stream must be read. */
    retriesUsed(stream: string): void;
    /** A cancelled task was dropped. */
    cancelled(about: TaskCancelledMessage): void;
  };
  events: WorkerEvents;
  records: Pick<RunRecords, 'keys' | 'failed'>;
  retryUntilConfirmed: RetryUntilConfirmed;
  log: { debug(message: string): void; warn(message: string): void; error(message: string, stack?: string): void };
}

/** Settles runs that failed and entries that cannot run. */
export class FailureSettler {
  readonly #options: FailureSettlerOptions;

  constructor(options: FailureSettlerOptions) {
    this.#options = options;
  }

  /** Decides what happens to a task whose handler threw. */
  decide(delivery: Delivery, thrown: unknown): Disposition {
    const { options, clock } = this.#options;
    return decide(delivery.failedWith(thrown), { options, wallMs: clock.wallMs(), random: Math.random });
  }

  /**
   * Settles a task whose handler threw: the task is queued again, now or later, or becomes a dead letter. Resolves to false if
   * the app stopped first.
   */
  settleFailure(
    site: string,
    delivery: Delivery,
    thrown: unknown,
    disposition: Exclude<Disposition, { kind: 'done' }>,
  ): Promise<boolean> {
    const { options, log } = this.#options;
    const { error, stack } = describeError(thrown);
    const attempt = `attempt ${delivery.retryCount + 1} of ${delivery.failedWith(thrown).maxAttempts ?? options.maxAttempts}`;
    const what = `${site} failed on task ${delivery.taskId}, ${attempt}: ${error.toString()}`;
    const attempts = disposition.retryCount;
    if (disposition.kind === 'dead') {
      if (!delivery.isCancelled) log.error(`${what}; it is a dead letter now`, stack.toString());
      return this.#settle(delivery, { attempts, reason: disposition.reason, error, stack });
    }
    const { delayMs, deferral, backoffError } = disposition;
    if (isSluiceError(thrown, 'SLUICE_RATE_LIMITED')) {
      // This is no failure, and happens to many tasks many times. So each of them has one line.
      const putOff = `${site} put off task ${delivery.taskId} for ${Math.ceil(delayMs)} ms: ${error.toString()}`;
      if (!delivery.isCancelled && deferral?.defers === 1) log.debug(putOff);
    } else if (!delivery.isCancelled && !isSluiceError(thrown, 'SLUICE_TASK_SNOOZE')) log.warn(what);
    if (backoffError !== undefined)
      log.error(`the backoff of ${site} cannot be used: ${describeError(backoffError).error.toString()}`);
    return this.#settle(delivery, { attempts, delayMs: Math.ceil(delayMs), deferral, error, stack });
  }

  /** Makes an entry that is no readable task a dead letter. The other entries of its batch run. */
  unreadable(delivery: Delivery): Promise<boolean> {
    const { reason = 'bad-payload', message = '' } = delivery.unreadable ?? {};
    this.#options.log.error(`entry ${delivery.id} of queue '${this.#options.queue}' is a dead letter: ${message}`);
    const words = { error: Buffer.from(message), stack: Buffer.alloc(0) };
    return this.#settle(delivery, { attempts: delivery.retryCount, reason, ...words });
  }

  /** Settles a cancelled task that has not begun. The script drops it, because it is marked. */
  drop(delivery: Delivery): Promise<boolean> {
    const none = { error: Buffer.alloc(0), stack: Buffer.alloc(0) };
    return this.#settle(delivery, { attempts: delivery.retryCount, ...none });
  }

  async #settle(
    delivery: Delivery,
    { attempts, reason, delayMs = 0, deferral, error, stack }: Outcome,
  ): Promise<boolean> {
    const { link, keys, retryKeys, order, queue, group, consumer, inboxes, failedTo } = this.#options;
    const { retryUntilConfirmed, listener, events, records } = this.#options;
    const { stream: retry, delayed: retryDelayed, bodies: retryBodies, index: retryIndex } = retryKeys;
    const { id, taskId: handle } = delivery;
    const what = { attempts: String(attempts), meta: delivery.nextMeta(deferral), failure: error, stack };
    const outcome = { isDead: reason === undefined ? 0 : 1, reason: reason ?? '' };
    return retryUntilConfirmed.run(`settling a failed task of queue '${queue}'`, async () => {
      // This number is read at each try: the task may have been delivered again meanwhile.
      const { deliveries } = delivery;
      const { as: settlement, apart } = await settleFailureScript.run(link, {
        keys: {
          ...{ ...keys, retry, retryDelayed, retryBodies, retryIndex },
          ...{ failedTo: failedTo ?? keys.dead, history: records.keys.failed },
        },
        ...(order && keyed(order, keyOf(order, delivery))),
        args: {
          publishes: failedTo === undefined ? '' : queue,
          isJson: delivery.task ? 1 : 0,
          side: keys.side,
          run: reason === undefined ? '' : records.failed(delivery, attempts),
          group,
          consumer,
          inboxes,
          id,
          deliveries,
          handle,
          delayMs,
          ...what,
          ...outcome,
        },
      });
      debug?.('%s: task %s settled as %s %s', keys.stream, handle, settlement, reason ?? '');
      const { retried, deadLettered } = channels;
      const about = { queue, group, id: handle };
      if (settlement === 'cancelled') listener.cancelled(about);
      else if (settlement === 'dead') {
        if (deadLettered.hasSubscribers) deadLettered.publish({ ...about, reason });
      } else if (settlement === 'retried' || settlement === 'delayed') {
        if (retried.hasSubscribers) retried.publish({ ...about, delayMs });
      }
      if (settlement === 'cancelled') events.cancelled(handle);
      else if (settlement !== 'fenced' && settlement !== 'stale') {
        events.failed(handle, { attempt: delivery.retryCount + 1, delayMs, reason, error });
      }
      if (apart) listener.retriesUsed(retry);
      if (settlement === 'delayed') listener.delayed(apart ? retry : keys.stream, delayMs);
    });
  }
}

/** What settles the failures of an ordered queue. */
export interface OrderOf extends OrderKeys {
  /** The group's own retries for the queue, and the queue for the retries. */
  readonly other: string;
}

function keyed(
  { other, gates, line, closes, keeps, places }: OrderOf,
  key: string,
): { restKeys: string[]; rest: (string | number)[] } {
  return { restKeys: [other, gates, line], rest: [key, closes, keeps, places] };
}

interface Outcome {
  attempts: number;
  /** Why the task becomes a dead letter; undefined: the task runs again. */
  reason?: string;
  delayMs?: number;
  deferral?: { defers: number; deferredMs: number } | undefined;
  error: Buffer;
  stack: Buffer;
}
