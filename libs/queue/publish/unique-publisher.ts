import { randomBytes } from 'node:crypto';
import type { Clock, Keyspace, Link } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import { channels } from '../observe/queue.channels.js';
import { refuseLengthLimit, type QueuesByName } from '../limits/length-limits.js';
import { PublishUnconfirmedError } from '../queue.errors.js';
import { refuseUnique } from '../ordering/with-key.js';
import { oneQueue } from '../named-tasks.js';
import { queueSchema, type QueueRef } from '../queue-definition.js';
import { keyDigest, nonceKey, queueKeys, recordKey, waitersKey, type QueueKeys } from '../store/queue.keys.js';
import { publishUniqueScript } from '../store/scripts/publish-unique.script.js';
import { encodePayload } from '../task/payload.js';
import { checked } from '../task/standard-schema.js';
import { isUnknown, type Publisher } from './publisher.js';
import { SendWindow } from './send-window.js';
import type { UniquePublish, UniqueRequest } from './unique.options.js';

export interface UniquePublisherOptions {
  link: Link;
  keyspace: Keyspace;
  clock: Clock;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  publisher: Publisher;
  maxPayloadBytes: number;
  queues: QueuesByName;
  /** A task was published or put off that is due in `delayMs`. */
  onDelayed: (queue: string, keys: QueueKeys, delayMs: number) => void;
}

/** Publishes tasks under keys. */
export class UniquePublisher {
  readonly #options: UniquePublisherOptions;
  readonly #window = new SendWindow();

  constructor(options: UniquePublisherOptions) {
    this.#options = options;
  }

  /**
   * Publishes one task. To collect, `payload` is the item; `whole` is what the queue's schema is for. `waiter` waits for the task's end, as
   * `replyText` says it.
   */
  async publish(
    ref: QueueRef<unknown>,
    payload: unknown,
    whole: unknown,
    request: UniqueRequest,
    waiter = '',
  ): Promise<UniquePublish> {
    const call = waiter !== '' ? 'publishAndWait with a key' : request.mode === 'collect' ? 'collect' : 'publishUnique';
    const queue = oneQueue(ref, call);
    refuseLengthLimit(ref, queue, this.#options.queues, call);
    refuseUnique(ref, request.options, call);
    const text = encodePayload(payload, 'payload', this.#options.maxPayloadBytes);
    const schema = queueSchema(ref);
    if (schema) await checked(schema, whole, { queue, root: 'payload', at: 'publish' });
    return this.#send(queue, queueKeys(this.#options.keyspace, queue), text, request, waiter);
  }

  async #send(
    queue: string,
    keys: QueueKeys,
    payload: string,
    request: UniqueRequest,
    waiter: string,
  ): Promise<UniquePublish> {
    const { link, clock, inboxes, publisher, maxPayloadBytes, onDelayed } = this.#options;
    const { mode, key, windowMs, maxWaitMs, max, options } = request;
    const { delayMs = 0, runAt } = options;
    const nonce = request.nonce ?? randomBytes(16).toString('base64url');
    const digest = keyDigest(key);
    const handle = publisher.newId();
    if (!this.#window.enter()) await this.#window.turn();
    try {
      const { stream, delayed, bodies, alive, index, side } = keys;
      const { id, outcome, dueInMs, groups, isList } = await publishUniqueScript.run(link, {
        keys: {
          record: recordKey(keys, digest),
          nonceKey: nonceKey(keys, digest, nonce),
          stream,
          delayed,
          bodies,
          alive,
          index,
          waiters: waitersKey(keys, digest),
        },
        args: {
          ...{ mode, key, payload, windowMs, maxWaitMs, max, maxBytes: maxPayloadBytes, side, inboxes },
          ...{ handle, meta: publisher.meta(options, { key: digest }) },
          ...{ delayMs, runAtMs: runAt?.getTime() ?? -1, timestamp: String(Math.floor(clock.wallMs() / 1_000)) },
          waiter,
        },
      });
      if (groups) throw waiter === '' ? severalGroups(queue, mode, groups) : joinedBySeveralGroups(queue, groups);
      if (isList) throw dropsItems(queue, mode);
      if (dueInMs > 0 || mode === 'debounce' || mode === 'collect') onDelayed(queue, keys, dueInMs);
      const isNew = outcome === 'published' || (outcome === 'follows' && id === handle);
      if (isNew && channels.published.hasSubscribers) {
        channels.published.publish({ queue, id, delayMs: dueInMs, ...(runAt && { runAt }) });
      }
      return { id, outcome };
    } catch (error) {
      if (!isUnknown(error)) throw error;
      throw new PublishUnconfirmedError(queue, [{ state: 'unknown' }], { cause: error, nonce });
    } finally {
      this.#window.leave();
    }
  }
}

/** The error of a mode that is for one group. */
export function severalGroups(queue: string, mode: string, groups: readonly string[]): SluiceError {
  return new SluiceError(
    'SLUICE_BAD_OPTION',
    `publishUnique: mode '${mode}' is for queues that one group reads. Queue '${queue}' is read by ` +
      `${groups.map((group) => `'${group}'`).join(', ')}, and one of them may have the task while it waits for another. Use mode 'skip'`,
  );
}

/** The error of a wait for a task that several groups have to do. */
export function joinedBySeveralGroups(queue: string, groups: readonly string[]): SluiceError {
  return new SluiceError(
    'SLUICE_BAD_OPTION',
    `publishAndWait: a key is for queues that one group reads. Queue '${queue}' is read by ` +
      `${groups.map((group) => `'${group}'`).join(', ')}, and one of them may have ended the task that another has still to do. ` +
      'Leave the key out',
  );
}

/** The error of a mode that would give another payload to a task with collected items. */
export function dropsItems(queue: string, mode: string): SluiceError {
  return new SluiceError(
    'SLUICE_BAD_OPTION',
    `publishUnique: key: a task of '${queue}' waits under it with the items of collect, which mode '${mode}' would drop. ` +
      'Use other keys for collect',
  );
}
