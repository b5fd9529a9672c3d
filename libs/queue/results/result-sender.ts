import type { Link } from '../../redis/index.js';
import { resultKey, type QueueKeys } from '../store/queue.keys.js';
import { completeScript } from '../store/scripts/complete.script.js';
import type { Delivery } from '../task/delivery.js';
import { replyText, type Reply } from '../task/reply.js';
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

/** Settles the tasks that have ended and whose publisher waits: each with its result, in one step. */
export class ResultSender {
  readonly #options: ResultSenderOptions;

  constructor(options: ResultSenderOptions) {
    this.#options = options;
  }

  /** Settles a task whose handler returned. Resolves to false if the app stopped first. */
  returned(delivery: Delivery, reply: Reply, value: unknown): Promise<boolean> {
    const { queue, maxPayloadBytes, log } = this.#options;
    const outcome = returnedOutcome(value, maxPayloadBytes);
    if (outcome.kind === 'unsendable') {
      log.error(`task ${delivery.taskId} of queue '${queue}' is done, but its result cannot be sent: ${outcome.text}`);
    }
    return this.#complete(delivery, reply, outcome);
  }

  /** Settles a task of a batch. Its handler returns nothing for one task alone. */
  batched(delivery: Delivery, reply: Reply): Promise<boolean> {
    return this.#complete(delivery, reply, batchedOutcome());
  }

  /** Settles a task that its handler dropped. Resolves to false if the app stopped first. */
  dropped(delivery: Delivery, reply: Reply, thrown: unknown): Promise<boolean> {
    return this.#complete(delivery, reply, droppedOutcome(thrown, delivery.retryCount));
  }

  #complete({ id, taskId }: Delivery, reply: Reply, { kind, text }: Outcome): Promise<boolean> {
    const { link, keys, queue, group, inboxes, retryUntilConfirmed } = this.#options;
    const { stream, index, side } = keys;
    const meta = JSON.stringify({ reply: replyText(reply) });
    return retryUntilConfirmed.run(`acknowledging a task with its result in queue '${queue}'`, () =>
      completeScript.run(link, {
        keys: { stream, index, result: resultKey(keys, reply.token) },
        args: { group, id, task: taskId, meta, side, inboxes, kind, text },
      }),
    );
  }
}
