import type { Keyspace } from '../../redis/index.js';
import { oneQueue } from '../named-tasks.js';
import type { Publisher } from '../publish/publisher.js';
import { queueSchema, resultSchema, type QueueRef } from '../queue-definition.js';
import { TaskWaitTimeoutError } from '../queue.errors.js';
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
}

/** Publishes tasks and waits for their ends. */
export class AwaitedPublisher {
  readonly #options: AwaitedPublisherOptions;

  constructor(options: AwaitedPublisherOptions) {
    this.#options = options;
  }

  /** Publishes one task. Resolves to its result. */
  async publish(ref: QueueRef<unknown>, payload: unknown, request: WaitRequest): Promise<unknown> {
    const { publisher, waits, keyspace, processId, maxPayloadBytes, groupOf } = this.#options;
    const queue = oneQueue(ref, 'publishAndWait');
    const keys = queueKeys(keyspace, queue);
    const text = encodePayload(payload, 'payload', maxPayloadBytes);
    const { waitMs, group = groupOf(queue), options } = request;
    // The wait begins before the task is published: its outcome may come before the answer to the publish.
    const wait = waits.begin(queue, keys, waitMs, options.signal);
    const reply = replyText({ processId, token: wait.token, waitMs, group });
    let taskId: string;
    try {
      const schema = queueSchema(ref);
      if (schema) await checked(schema, payload, { queue, root: 'payload', at: 'publish' });
      taskId = await publisher.one(queue, keys, text, { ...options, reply }, ref);
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
