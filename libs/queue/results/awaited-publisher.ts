import type { Keyspace } from '../../redis/index.js';
import { refuseUnlevelled, type Levels } from '../limits/queue-shares.js';
import { oneQueue } from '../named-tasks.js';
import type { PublishOptions, SentOptions } from '../publish/publish.options.js';
import type { Publisher } from '../publish/publisher.js';
import { withKey } from '../ordering/with-key.js';
import type { UniquePublisher } from '../publish/unique-publisher.js';
import type { UniqueRequest } from '../publish/unique.options.js';
import { queueSchema, resultSchema, type QueueRef } from '../queue-definition.js';
import { TaskWaitTimeoutError } from '../queue.errors.js';
import { placeOf } from '../store/levels.js';
import { queueKeys } from '../store/queue.keys.js';
import { encodePayload } from '../task/payload.js';
import { replyText } from '../task/reply.js';
import { checked } from '../task/standard-schema.js';
import { resultOf } from './outcome.js';
import type { TaskWaits } from './task-waits.js';
import type { WaitRequest } from './wait.options.js';

export interface AwaitedPublisherOptions {
  publisher: Publisher;
  uniquePublisher: UniquePublisher;
  waits: TaskWaits;
  keyspace: Keyspace;
  processId: string;
  maxPayloadBytes: number;
  /** The group whose outcome counts if the caller names none. */
  groupOf: (queue: string) => string;
  /** What is known of the levels of queues. */
  levels: Levels;
}

/** Publishes tasks and waits for their ends. */
export class AwaitedPublisher {
  readonly #options: AwaitedPublisherOptions;

  constructor(options: AwaitedPublisherOptions) {
    this.#options = options;
  }

  /** Publishes one task. Resolves to its result. */
  async publish(ref: QueueRef<unknown>, payload: unknown, request: WaitRequest): Promise<unknown> {
    const { uniquePublisher, waits, keyspace, processId, maxPayloadBytes, groupOf, levels } = this.#options;
    const queue = oneQueue(ref, 'publishAndWait');
    const text = encodePayload(payload, 'payload', maxPayloadBytes);
    const { waitMs, group = groupOf(queue), options: given, onProgress, key } = request;
    const options = key === undefined ? withKey(ref, payload, given, 'publishAndWait') : given;
    refuseUnlevelled(ref, queue, [options], levels);
    // The wait begins before the task is published: its outcome may come before the answer to the publish.
    // The result is kept beside the stream of the task's level.
    const keys = queueKeys(keyspace, placeOf(queue, options.priority ?? 'normal'));
    const wait = waits.begin(queue, keys, { waitMs, signal: options.signal, onProgress });
    const reply = replyText({ processId, token: wait.token, waitMs, group });
    let taskId: string;
    try {
      taskId =
        key === undefined
          ? await this.#publish(ref, queue, payload, text, { ...options, reply })
          : (await uniquePublisher.publish(ref, payload, payload, joining(key, options), reply)).id;
    } catch (error) {
      waits.forget(wait);
      throw error;
    }
    const end = await wait.ended;
    if ('error' in end) throw end.error;
    if (end.outcome === undefined) throw new TaskWaitTimeoutError(queue, taskId, waitMs);
    return resultOf(end.outcome, { queue, taskId }, resultSchema(ref));
  }

  async #publish(
    ref: QueueRef<unknown>,
    queue: string,
    payload: unknown,
    text: string,
    options: SentOptions,
  ): Promise<string> {
    const { publisher, keyspace } = this.#options;
    const schema = queueSchema(ref);
    if (schema) await checked(schema, payload, { queue, root: 'payload', at: 'publish' });
    return publisher.one(queue, queueKeys(keyspace, queue), text, options, ref);
  }
}

/** The publish under a key whose task is joined if it is there. */
export function joining(key: string, options: PublishOptions): UniqueRequest {
  return { mode: 'skip', key, nonce: undefined, windowMs: 0, maxWaitMs: 0, max: 0, options };
}
