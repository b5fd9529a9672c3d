import type { Link } from '../../redis/index.js';
import { resultKey, type QueueKeys } from '../store/queue.keys.js';
import { completeScript } from '../store/scripts/complete.script.js';
import type { Delivery } from '../task/delivery.js';
import { replyText, type Reply } from '../task/reply.js';
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
  retryUntilConfirmed: RetryUntilConfirmed;
  log: { error(message: string): void };
}

/** What settles the tasks of an ordered queue; undefined for other queues. */
type Ordered = Pick<OrderedAcks, 'send'> | undefined;

/** Settles the tasks that have ended and whose publisher waits: each with its result, in one step. */
export class ResultSender {
  readonly #options: ResultSenderOptions;

  constructor(options: ResultSenderOptions) {
    this.#options = options;
  }

  /** Settles a task whose handler returned. Resolves to false if the app stopped first. */
  returned(delivery: Delivery, reply: Reply, value: unknown, ordered?: Ordered): Promise<boolean> {
    const { queue, maxPayloadBytes, log } = this.#options;
    const outcome = returnedOutcome(value, maxPayloadBytes);
    if (outcome.kind === 'unsendable') {
      log.error(`task ${delivery.taskId} of queue '${queue}' is done, but its result cannot be sent: ${outcome.text}`);
    }
    return this.#complete(delivery, reply, outcome, ordered);
  }

  /** Settles a task of a batch. Its handler returns nothing for one task alone. */
  batched(delivery: Delivery, reply: Reply, ordered?: Ordered): Promise<boolean> {
    return this.#complete(delivery, reply, batchedOutcome(), ordered);
  }

  /** Settles a task that its handler dropped. Resolves to false if the app stopped first. */
  dropped(delivery: Delivery, reply: Reply, thrown: unknown, ordered?: Ordered): Promise<boolean> {
    return this.#complete(delivery, reply, droppedOutcome(thrown, delivery.retryCount), ordered);
  }

  #complete(delivery: Delivery, reply: Reply, { kind, text }: Outcome, ordered?: Ordered): Promise<boolean> {
    const { id, taskId } = delivery;
    const { link, keys, queue, group, inboxes, retryUntilConfirmed } = this.#options;
    const { stream, index, side } = keys;
    const meta = JSON.stringify({ reply: replyText(reply) });
    return retryUntilConfirmed.run(
      `acknowledging a task with its result in queue '${queue}'`,
      async (): Promise<unknown> =>
        ordered
          ? ordered.send([delivery], { meta, kind, text })
          : completeScript.run(link, {
              keys: { stream, index, result: resultKey(keys, reply.token) },
              args: { group, id, task: taskId, meta, side, inboxes, kind, text },
            }),
    );
  }
}
