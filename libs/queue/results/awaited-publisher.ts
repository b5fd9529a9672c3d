import type { Keyspace } from '../../redis/index.js';
import { refuseUnlevelled, type Levels } from '../limits/queue-shares.js';
import { oneQueue } from '../named-tasks.js';
import type { Publisher } from '../publish/publisher.js';
import { withKey } from '../ordering/with-key.js';
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
    const { publisher, waits, keyspace, processId, maxPayloadBytes, groupOf, levels } = this.#options;
    const queue = oneQueue(ref, 'publishAndWait');
    const text = encodePayload(payload, 'payload', maxPayloadBytes);
    const { waitMs, group = groupOf(queue), options: given, onProgress } = request;
    const options = withKey(ref, payload, given, 'publishAndWait');
    refuseUnlevelled(ref, queue, [options], levels);
    // The wait begins before the task is published: its outcome may come before the answer to the publish.
    // The result is kept beside the stream of the task's level.
    const keys = queueKeys(keyspace, placeOf(queue, options.priority ?? 'normal'));
    const wait = waits.begin(queue, keys, { waitMs, signal: options.signal, onProgress });
    const reply = replyText({ processId, token: wait.token, waitMs, group });
    let taskId: string;
    try {
      const schema = queueSchema(ref);
      if (schema) await checked(schema, payload, { queue, root: 'payload', at: 'publish' });
      taskId = await publisher.one(queue, queueKeys(keyspace, queue), text, { ...options, reply }, ref);
    } catch (error) {
      waits.forget(wait);
      throw error;
    }
    const end = await wait.ended;
    if ('error' in end) throw end.error;
    if (end.outcome === undefined) throw new TaskWaitTimeoutError(queue, taskId, waitMs);
    return resultOf(end.outcome, { queue, taskId }, resultSchema(ref));
  }
}
