import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, type Link, type RedisConnections } from '../redis/index.js';
import { queueName, type QueueDefinition, type QueueRef } from './define-queue.js';
import { QUEUE_SETTINGS } from './handler.registry.js';
import { encodePayload } from './payload.js';
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
  readonly #connections: RedisConnections;
  readonly #link: Link;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(QUEUE_SETTINGS) settings: ResolvedQueueOptions,
  ) {
    this.#connections = connections;
    const connection = connections.get(settings.connection);
    this.#link = connection.commands;
    this.raw = new QueueRaw(connection, connections.keyspace, connections.clock);
    connections.shutdown.onDrain(() => this.raw.close());
  }

  /**
   * Publishes one task and resolves with its id, which the handler finds in `task.id`.
   *
   * Resolved means: it will run to success or become a dead letter, as durably as Redis is configured to keep what it
   * has confirmed. Rejected with `SLUICE_REDIS_UNAVAILABLE`: `outcome` tells whether it may have been published all
   * the same; nothing is sent twice behind your back.
   *
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_QUEUE_UNSERIALIZABLE` (nothing was sent), `SLUICE_REDIS_UNAVAILABLE`
   */
  publish<T>(queue: QueueDefinition<T>, payload: NoInfer<T>): Promise<string>;
  publish(stream: string, payload: unknown): Promise<string>;
  async publish(queue: QueueRef<unknown>, payload: unknown): Promise<string> {
    return this.#add(this.#streamOf(queue), encodePayload(payload));
  }

  /**
   * Publishes many tasks in one write and resolves with their ids, in order.
   *
   * All payloads are checked before any is sent. It is not a transaction: if Redis fails on the way, some may have been
   * published; the rejection is that of the first that was not confirmed, once all are answered.
   */
  publishMany<T>(queue: QueueDefinition<T>, payloads: readonly NoInfer<T>[]): Promise<string[]>;
  publishMany(stream: string, payloads: readonly unknown[]): Promise<string[]>;
  async publishMany(queue: QueueRef<unknown>, payloads: readonly unknown[]): Promise<string[]> {
    const stream = this.#streamOf(queue);
    const encoded = payloads.map((payload, i) => encodePayload(payload, `payloads[${i}]`));
    const sent = await Promise.allSettled(encoded.map((payload) => this.#add(stream, payload)));
    return sent.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    });
  }

  #streamOf(queue: QueueRef<unknown>): string {
    return queueKeys(this.#connections.keyspace, queueName(queue)).stream;
  }

  /** The fields stand in one order everywhere: Redis then stores their names once per block of entries. */
  #add(stream: string, payload: string): Promise<string> {
    const seconds = Math.floor(this.#connections.clock.wallMs() / 1_000);
    const fields = ['payload', payload, 'timestamp', seconds, 'retry_count', 0, 'meta', ''];
    return this.#link.send<string>('xadd', [stream, '*', ...fields]);
  }
}
