import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, type Keyspace, type RedisConnections } from '../redis/index.js';
import { queueName, type QueueDefinition, type QueueRef } from './define-queue.js';
import { QUEUE_SETTINGS } from './handler.registry.js';
import { encodePayload } from './payload.js';
import { checkPublishOptions, type PublishOptions } from './publish.options.js';
import { Publisher } from './publisher.js';
import { queueKeys } from './queue.keys.js';
import type { ResolvedQueueOptions } from './queue.options.js';
import { QueueRaw } from './queue.raw.js';

/** Nest provider token of {@link QueueService}. */
export const QUEUE_SERVICE = 'sluice:queue-service';

/**
 * Puts tasks into queues.
 *
 * @example
 * constructor(private readonly queue: QueueService) {}
 * const id = await this.queue.publish(Orders, order);
 */
@Injectable()
export class QueueService {
  /** The bare protocol: what redis-cli and clients in other languages do by hand. */
  readonly raw: QueueRaw;
  readonly #keyspace: Keyspace;
  readonly #publisher: Publisher;
  readonly #maxBytes: number;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(QUEUE_SETTINGS) settings: ResolvedQueueOptions,
  ) {
    const { keyspace, clock, shutdown } = connections;
    const connection = connections.get(settings.connection);
    this.#keyspace = keyspace;
    this.#publisher = new Publisher({ link: connection.commands, clock, inboxes: connection.inbox.prefix });
    this.#maxBytes = settings.maxPayloadBytes;
    this.raw = new QueueRaw(connection, keyspace, clock);
    shutdown.onDrain(() => this.raw.close());
  }

  /**
   * Publishes one task and resolves with its id, which the handler finds in `task.id`.
   *
   * Resolved means: it will run to success or become a dead letter, as durably as Redis is configured to keep what it
   * has confirmed; with `delayMs` not before that is over. Rejected with `SLUICE_PUBLISH_UNCONFIRMED`: the connection was
   * lost before the answer, and the task may have been published all the same; nothing is sent twice behind your back.
   * Rejected with anything else: nothing was published.
   *
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`, `SLUICE_QUEUE_UNSERIALIZABLE`,
   * `SLUICE_QUEUE_PAYLOAD_TOO_LARGE`, `SLUICE_REDIS_UNAVAILABLE`, `SLUICE_PUBLISH_UNCONFIRMED`
   * @example
   * await queue.publish(Reminders, { user }, { delayMs: 3_600_000 });
   */
  publish<T>(queue: QueueDefinition<T>, payload: NoInfer<T>, options?: PublishOptions): Promise<string>;
  publish(stream: string, payload: unknown, options?: PublishOptions): Promise<string>;
  async publish(queue: QueueRef<unknown>, payload: unknown, options?: PublishOptions): Promise<string> {
    const name = queueName(queue);
    const keys = queueKeys(this.#keyspace, name);
    const text = encodePayload(payload, 'payload', this.#maxBytes);
    return this.#publisher.one(String(name), keys, text, checkPublishOptions(options));
  }

  /**
   * Publishes many tasks and resolves with their ids, in order.
   *
   * All payloads are checked before any is sent. It is not a transaction: they leave in chunks of at most 1,000, and if
   * Redis fails on the way, some may have been published. Then it rejects with `SLUICE_PUBLISH_UNCONFIRMED`, whose
   * `outcomes` tell of each payload whether it was published (and its id), was not, or may have been.
   */
  publishMany<T>(
    queue: QueueDefinition<T>,
    payloads: readonly NoInfer<T>[],
    options?: PublishOptions,
  ): Promise<string[]>;
  publishMany(stream: string, payloads: readonly unknown[], options?: PublishOptions): Promise<string[]>;
  async publishMany(
    queue: QueueRef<unknown>,
    payloads: readonly unknown[],
    options?: PublishOptions,
  ): Promise<string[]> {
    const name = queueName(queue);
    const keys = queueKeys(this.#keyspace, name);
    const texts = payloads.map((payload, i) => encodePayload(payload, `payloads[${i}]`, this.#maxBytes));
    return this.#publisher.many(String(name), keys, texts, checkPublishOptions(options));
  }
}
