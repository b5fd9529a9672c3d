import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, checkName, type Link, type RedisConnections } from '../redis/index.js';
import { queueName, type QueueDefinition, type QueueRef } from './define-queue.js';
import { QUEUE_SETTINGS } from './handler.registry.js';
import { DeadLetters } from './dead-letters.js';
import { encodePayload } from './payload.js';
import { queueKeys } from './queue.keys.js';
import type { ResolvedQueueOptions } from './queue.options.js';
import { QueueOperations, type GroupChoice, type ListOptions, type TaskPage } from './queue.operations.js';
import { QueueRaw } from './queue.raw.js';
import type { Counts } from './scripts/counts.script.js';
import type { TaskInfo } from './task-info.js';
import { TaskSearch } from './task-search.js';
import type { QueueWorker } from './worker-info.js';

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
  readonly #operations: QueueOperations;
  readonly #search: TaskSearch;
  readonly #settings: ResolvedQueueOptions;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(QUEUE_SETTINGS) settings: ResolvedQueueOptions,
  ) {
    this.#connections = connections;
    const connection = connections.get(settings.connection);
    this.#link = connection.commands;
    this.#settings = settings;
    this.#operations = new QueueOperations(connection, connections.keyspace, (queue) => this.#groupOf(queue));
    this.#search = new TaskSearch(this.#link, connections.keyspace);
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

  /**
   * How many tasks of a queue wait, are with workers, are due later, or were given up, at one instant; how long the
   * oldest one waits; and whether the queue is paused.
   *
   * `running` counts what workers have, also what they have at hand and did not start.
   */
  async counts(queue: QueueRef<unknown>, choice: GroupChoice = {}): Promise<Counts> {
    return this.#operations.counts(nameOf(queue), choice);
  }

  /**
   * A page of a queue's tasks of one state: `'waiting'` (default), `'running'`, `'delayed'`, `'dead'`.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`
   * @example
   * for (let after: string | undefined; ; ) {
   *   const { tasks, next } = await queue.list(Orders, { state: 'delayed', ...(after && { after }) });
   *   show(tasks);
   *   if (next === undefined) break;
   *   after = next;
   * }
   */
  async list(queue: QueueRef<unknown>, options: ListOptions = {}): Promise<TaskPage> {
    return this.#operations.list(nameOf(queue), options);
  }

  /**
   * Where a task is, by the id that `publish` returned; undefined if it is done, or never was.
   *
   * At once for tasks that are delayed or never failed. A retry or a dead letter is searched for: that takes longer the
   * longer the queue is.
   */
  async inspect(queue: QueueRef<unknown>, id: string, choice: GroupChoice = {}): Promise<TaskInfo | undefined> {
    const name = nameOf(queue);
    return this.#search.inspect(name, id, choice.group ?? this.#groupOf(name));
  }

  /**
   * Takes a task out of the queue, wherever it waits: it never runs (again). Resolves with whether it did.
   *
   * False if it is not there, or with a worker: what runs is not stopped. `pause` first, to have workers give back what
   * they did not start.
   */
  async remove(queue: QueueRef<unknown>, id: string, choice: GroupChoice = {}): Promise<boolean> {
    const name = nameOf(queue);
    return this.#search.remove(name, id, choice.group ?? this.#groupOf(name));
  }

  /**
   * Stops all work on a queue, in every process, until `resume`, also through restarts. Publishing goes on.
   *
   * Resolved means: it is written down. Processes are told at once, and find out by themselves within a third of a lease
   * if that does not reach them. What runs, finishes; what a worker has at hand and did not start is handed back, and
   * counts as waiting. Resolves with whether that changed anything.
   */
  async pause(queue: QueueRef<unknown>): Promise<boolean> {
    return this.#operations.pause(nameOf(queue), true);
  }

  /** Ends a `pause`. Resolves with whether there was one. */
  async resume(queue: QueueRef<unknown>): Promise<boolean> {
    return this.#operations.pause(nameOf(queue), false);
  }

  /** The processes that work on a queue now. One that was killed is among them until its lease has ended. */
  async workers(queue: QueueRef<unknown>): Promise<QueueWorker[]> {
    return this.#operations.workers(nameOf(queue));
  }

  /** A queue's dead letters: to list, to bring back to work, to delete. */
  dead<T = unknown>(queue: QueueRef<T>): DeadLetters<T> {
    const { clock, keyspace } = this.#connections;
    return new DeadLetters<T>(this.#link, clock, keyspace, nameOf(queue));
  }

  #groupOf(queue: string): string {
    const { handlers, defaults } = this.#settings;
    return handlers.get(queue)?.group ?? defaults.group ?? this.#connections.keyspace.namespace ?? 'sluice';
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

/** Checked here, for an operation names the queue before it looks. */
function nameOf(queue: QueueRef<unknown>): string {
  return checkName('queue', queueName(queue));
}
