import type { Link } from '../../redis/index.js';
import type { RunRecords } from '../history/run-records.js';
import { resultKey, waitersKey, type QueueKeys } from '../store/queue.keys.js';
import { WITHHELD, completeScript, type Completed } from '../store/scripts/complete.script.js';
import type { Delivery } from '../task/delivery.js';
import type { OrderedAcks } from '../worker/ordered/ordered-acks.js';
import type { RetryUntilConfirmed } from '../worker/settling/retry-until-confirmed.js';
import { batchedOutcome, droppedOutcome, returnedOutcome, type Outcome } from './outcome.js';

export interface ResultSenderOptions {
  link: Link;
  keys: Pick<QueueKeys, 'stream' | 'index' | 'side'>;
  queue: string;
  group: string;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  maxPayloadBytes: number;
  records: Pick<RunRecords, 'keys' | 'completed'>;
  retryUntilConfirmed: RetryUntilConfirmed;
  log: { error(message: string): void };
}

/** What settles the tasks of an ordered queue; undefined for other queues. */
type Ordered = Pick<OrderedAcks, 'send'> | undefined;

/** A result up to this length, in characters, is sent whether it is known that somebody waits or not. */
const UNASKED_CHARS = 4_096;

/** Settles the tasks that have ended and for which somebody waits, or may have joined by a key: each with its result, in one step. */
export class ResultSender {
  readonly #options: ResultSenderOptions;

  constructor(options: ResultSenderOptions) {
    this.#options = options;
  }

  /** Settles a task whose handler returned. Resolves to false if the app stopped first. */
  returned(delivery: Delivery, value: unknown, ordered?: Ordered): Promise<boolean> {
    return this.#complete(delivery, this.outcomeOf(delivery, value), ordered);
  }

  /** What is sent of a value that a handler returned. */
  outcomeOf({ taskId, reply }: Delivery, value: unknown): Outcome {
    const { queue, maxPayloadBytes, log } = this.#options;
    const outcome = returnedOutcome(value, maxPayloadBytes);
    if (outcome.kind === 'unsendable' && reply !== undefined) {
      log.error(`task ${taskId} of queue '${queue}' is done, but its result cannot be sent: ${outcome.text}`);
    }
    return outcome;
  }

  /** Settles a task of a batch. Its handler returns nothing for one task alone. */
  batched(delivery: Delivery, ordered?: Ordered): Promise<boolean> {
    return this.#complete(delivery, batchedOutcome(), ordered);
  }

  /** Settles a task that its handler dropped. Resolves to false if the app stopped first. */
  dropped(delivery: Delivery, thrown: unknown, ordered?: Ordered): Promise<boolean> {
    return this.#complete(delivery, droppedOutcome(thrown, delivery.retryCount), ordered);
  }

  #complete(delivery: Delivery, outcome: Outcome, ordered: Ordered): Promise<boolean> {
    const { queue, retryUntilConfirmed } = this.#options;
    const mayBeUnasked = delivery.reply === undefined && outcome.text.length > UNASKED_CHARS;
    return retryUntilConfirmed.run(
      `acknowledging a task with its result in queue '${queue}'`,
      async (): Promise<unknown> => {
        if (ordered) return ordered.send([delivery], { meta: delivery.waitersMeta, ...outcome });
        if (mayBeUnasked && (await this.#send(delivery, { kind: WITHHELD, text: '' })) !== 'awaited') return undefined;
        return this.#send(delivery, outcome);
      },
    );
  }

  #send(delivery: Delivery, { kind, text }: { readonly kind: string; readonly text: string }): Promise<Completed> {
    const { link, keys, group, inboxes, records } = this.#options;
    const { stream, index, side } = keys;
    const { id, taskId: task, reply, key = '' } = delivery;
    return completeScript.run(link, {
      keys: {
        ...{ stream, index, history: records.keys.completed },
        ...{ result: resultKey(keys, reply?.token ?? ''), waiters: waitersKey(keys, key) },
      },
      args: {
        ...{ group, id, task, meta: delivery.waitersMeta, side, inboxes, kind, text },
        run: records.completed(delivery),
      },
    });
  }
}
