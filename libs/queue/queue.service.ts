import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, type RedisConnections } from '../redis/index.js';
import type { Observable } from 'rxjs';
import { checkPageOptions, historyPage, type HistoryPage, type HistoryPageOptions } from './history/history-pages.js';
import { EventListeners } from './events/event-listeners.js';
import type { QueueEvent } from './events/queue-event.js';
import { asQueueOfTasks, definitionsOf, oneQueue, type QueueOfTasks } from './named-tasks.js';
import { queueSchema, type QueueDefinition, type QueueRef } from './queue-definition.js';
import { HandlerRegistry } from './handlers/handler.registry.js';
import { QUEUE_OPTIONS } from './queue.tokens.js';
import { QueueAdministration } from './admin/queue-administration.js';
import { withKey, withKeys } from './ordering/with-key.js';
import { encodePayload } from './task/payload.js';
import {
  checkPublishManyOptions,
  checkPublishOptions,
  isList,
  refusePriorityOfMembers,
  type PublishManyOptions,
  type PublishOptions,
} from './publish/publish.options.js';
import { refuseUnlevelled, type Levels } from './limits/queue-shares.js';
import { DelayedWatch } from './publish/delayed-watch.js';
import { Publisher } from './publish/publisher.js';
import { takeFollowUp } from './publish/when-settled.options.js';
import { UniquePublisher } from './publish/unique-publisher.js';
import {
  checkCollectOptions,
  checkUniqueOptions,
  type CollectOptions,
  type PublishUniqueOptions,
  type UniquePublish,
} from './publish/unique.options.js';
import { queueKeys, type QueueKeys } from './store/queue.keys.js';
import type { ResolvedQueueOptions } from './queue.options.js';
import { AwaitedPublisher } from './results/awaited-publisher.js';
import { TaskWaits } from './results/task-waits.js';
import { checkWaitOptions, type PublishAndWaitOptions } from './results/wait.options.js';
import { RawQueue } from './queue.raw.js';
import { checked } from './task/standard-schema.js';
import { QueueTally } from './observe/queue.stats.js';
import { LocalPauses } from './worker/control/local-pauses.js';

/**
 * Puts tasks into queues, shows what is in them, and changes it.
 *
 * @example
 * constructor(private readonly queue: QueueService) {}
 * const id = await this.queue.publish(Orders, order);
 */
@Injectable()
export class QueueService extends QueueAdministration {
  /** The plain protocol, as redis-cli and clients in other languages use it. */
  readonly raw: RawQueue;
  readonly #connections: RedisConnections;
  readonly #publisher: Publisher;
  readonly #uniquePublisher: UniquePublisher;
  readonly #awaitedPublisher: AwaitedPublisher;
  readonly #events: EventListeners;
  readonly #settings: ResolvedQueueOptions;
  readonly #levels: Levels;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(QUEUE_OPTIONS) settings: ResolvedQueueOptions,
    @Inject(HandlerRegistry) registry: HandlerRegistry,
    @Inject(QueueTally) tally: QueueTally,
    @Inject(LocalPauses) localPauses: LocalPauses,
  ) {
    const { keyspace, clock, shutdown } = connections;
    const connection = connections.get(settings.connection);
    connection.requireNoEviction('tasks');
    const { commands: link, inbox } = connection;
    const { prefix: inboxes } = inbox;
    const watch = new DelayedWatch({ link, clock, log: connections.logger });
    const onDelayed = (queue: string, keys: QueueKeys, delayMs: number): void => {
      if (!registry.worksOn(queue)) watch.expect(queue, keys, delayMs);
    };
    super({ connections, settings, registry, tally, localPauses, onDelayed });
    const { propagation, maxPayloadBytes, queues, drainMs } = settings;
    this.#connections = connections;
    this.#settings = settings;
    this.#levels = { sharesOf: (queue, name) => registry.sharesOf(queue, name), queues };
    this.#publisher = new Publisher({ link, keyspace, clock, inboxes, propagation, queues, onDelayed });
    this.#uniquePublisher = new UniquePublisher({
      ...{ link, keyspace, clock, inboxes, publisher: this.#publisher, onDelayed, maxPayloadBytes, queues },
    });
    const waits = new TaskWaits({ link, inbox, clock, drainMs, log: connections.logger });
    this.#awaitedPublisher = new AwaitedPublisher({
      ...{
        publisher: this.#publisher,
        uniquePublisher: this.#uniquePublisher,
        waits,
        keyspace,
        processId: connections.processId,
        maxPayloadBytes,
      },
      groupOf: (queue) => registry.groupOf(queue),
      levels: this.#levels,
    });
    this.#events = new EventListeners({ link, inbox, clock, log: connections.logger });
    this.raw = new RawQueue(connection, keyspace, clock, maxPayloadBytes);
    shutdown.onDrain(() => this.raw.close());
    shutdown.onDrain(() => waits.drain());
    shutdown.onClose(() => waits.stop());
    shutdown.onClose(() => this.#events.stop());
    shutdown.onClose(() => watch.stop());
  }

  /**
   * Publishes one task and resolves with its id, which the handler finds in `task.id`.
   *
   * If the promise resolves, the task will run to success or become a dead letter, as durably as Redis is configured to keep what
   * it has confirmed. With `delayMs`, the task does not run before that time is over. If the promise rejects with
   * `SLUICE_PUBLISH_UNCONFIRMED`, the connection was lost before the answer, and the task may have been published. Sluice does
   * not send it again by itself. If the promise rejects with any other error, nothing was published.
   *
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`, `SLUICE_QUEUE_UNSERIALIZABLE`,
   * `SLUICE_QUEUE_PAYLOAD_TOO_LARGE`, `SLUICE_QUEUE_INVALID_PAYLOAD`, `SLUICE_QUEUE_FULL`, `SLUICE_REDIS_UNAVAILABLE`, `SLUICE_PUBLISH_UNCONFIRMED`
   * @example
   * await queue.publish(Reminders, { user }, { delayMs: 3_600_000 });
   */
  publish<T>(queue: QueueDefinition<T, unknown>, payload: NoInfer<T>, options?: PublishOptions): Promise<string>;
  publish(stream: string, payload: unknown, options?: PublishOptions): Promise<string>;
  async publish(queue: QueueRef<unknown>, payload: unknown, options?: PublishOptions): Promise<string> {
    const name = oneQueue(queue, 'publish');
    const text = encodePayload(payload, 'payload', this.#settings.maxPayloadBytes);
    const schema = queueSchema(queue);
    if (schema) await checked(schema, payload, { queue: name, root: 'payload', at: 'publish' });
    const checkedOptions = withKey(queue, payload, checkPublishOptions(options), 'publish');
    refuseUnlevelled(queue, name, [checkedOptions], this.#levels);
    return this.#publisher.one(name, this.#keysOf(name), text, checkedOptions, queue);
  }

  /**
   * Publishes one task and waits for its end. Resolves to what its handler returned, in whichever process it ran.
   *
   * The call waits `timeoutMs` (default 30 s, at most an hour), through retries and the deaths of processes. What happens to the task does
   * not depend on the wait: a call that ends early leaves the task as it is. With a `key`, the call waits for the task that is there under
   * it, and publishes only if there is none: many calls at once have one run and one result. The result is JSON of at most `maxPayloadBytes`.
   *
   * @throws TaskFailedError `SLUICE_TASK_FAILED`: the task is a dead letter, was dropped by its handler, or cancelled
   * @throws TaskWaitTimeoutError `SLUICE_TASK_WAIT_TIMEOUT`: the task goes on
   * @throws TaskResultError `SLUICE_TASK_BAD_RESULT`: the task is done, and its result is no JSON, too large, or refused by the schema
   * @throws SluiceError `SLUICE_CLOSED` when the app stops; the reason of `signal`; otherwise as `publish`
   * @example
   * const Orders = defineQueue<Order>('orders').returning<Receipt>();
   * const receipt = await queue.publishAndWait(Orders, order, { timeoutMs: 10_000 });
   */
  publishAndWait<T, R>(
    queue: QueueDefinition<T, unknown, unknown, R>,
    payload: NoInfer<T>,
    options?: PublishAndWaitOptions,
  ): Promise<R>;
  publishAndWait(stream: string, payload: unknown, options?: PublishAndWaitOptions): Promise<unknown>;
  async publishAndWait(queue: QueueRef<unknown>, payload: unknown, options?: PublishAndWaitOptions): Promise<unknown> {
    return this.#awaitedPublisher.publish(queue, payload, checkWaitOptions(options));
  }

  /**
   * Publishes many tasks and resolves with their ids, in order.
   *
   * `options` are those of all tasks, or a function that makes those of each. All payloads and options are checked before any is sent. The call is no transaction: the tasks are sent in chunks of at most 1,000, and
   * if Redis fails on the way, some may have been published. Then the promise rejects with `SLUICE_PUBLISH_UNCONFIRMED`. Its
   * `outcomes` say for each payload whether the task was published (with its id), was not sent, or may have been published.
   *
   * With `whenAllSettled`, one more task is published when all of these have ended: exactly once, in the step in which the last one
   * ends, with the counts. If not all of them were published, it never is.
   *
   * @throws SluiceError as `publish`; `SLUICE_CROSS_SLOT` if the queue of `whenAllSettled` is in another Cluster slot
   * @example
   * await queue.publishMany(Mails, mails, ({ trialEnds }) => ({ runAt: trialEnds, maxAttempts: 5 }));
   * await queue.publishMany(Mails, mails, { whenAllSettled: { queue: Sent, payload: { campaign } } }); // Sent: '{shop:mails}.sent'
   */
  publishMany<T, F = unknown>(
    queue: QueueDefinition<T, unknown>,
    payloads: readonly NoInfer<T>[],
    options?: PublishManyOptions<NoInfer<T>, F>,
  ): Promise<string[]>;
  publishMany<T, F = unknown>(
    stream: string,
    payloads: readonly T[],
    options?: PublishManyOptions<T, F>,
  ): Promise<string[]>;
  async publishMany(
    queue: QueueRef<unknown>,
    payloads: readonly unknown[],
    options?: PublishManyOptions<never>,
  ): Promise<string[]> {
    const name = oneQueue(queue, 'publishMany');
    const { maxPayloadBytes } = this.#settings;
    const texts = payloads.map((payload, i) => encodePayload(payload, `payloads[${i}]`, maxPayloadBytes));
    const schema = queueSchema(queue);
    if (schema) {
      const check = (payload: unknown, i: number): Promise<unknown> =>
        checked(schema, payload, { queue: name, root: `payloads[${i}]`, at: 'publish' });
      await Promise.all(payloads.map(check));
    }
    const { keyspace } = this.#connections;
    const context = { queue: name, total: payloads.length, maxPayloadBytes, keyspace };
    const { followUp, options: given } = takeFollowUp(options as PublishManyOptions<unknown> | undefined, context);
    // Without it, the tasks leave in this turn, as that of `publish` does.
    const follows = followUp && (await followUp);
    const checkedOptions = withKeys(queue, payloads, checkPublishManyOptions(given, payloads));
    const all = isList(checkedOptions) ? checkedOptions : [checkedOptions];
    if (follows) refusePriorityOfMembers(all);
    refuseUnlevelled(queue, name, all, this.#levels);
    return this.#publisher.many(name, this.#keysOf(name), texts, checkedOptions, queue, follows);
  }

  /**
   * Publishes a task under a key. While the key is taken, nothing is published, or (`mode: 'debounce'`) the task that waits gets the new
   * payload. With `mode: 'follow-up'`, the task runs once more when the one that a worker has is settled.
   *
   * A task that can be found nowhere any more does not hold its key, and a dead letter frees it. If the promise rejects with
   * `SLUICE_PUBLISH_UNCONFIRMED`, a repeat with the error's `nonce` never makes a second task.
   *
   * @throws SluiceError as `publish`
   * @example
   * const { outcome } = await queue.publishUnique(Reports, { user }, { key: `report:${user}` }); // 'published' or 'skipped'
   * await queue.publishUnique(Index, { page }, { key: page, mode: 'debounce', windowMs: 5_000 });
   * await queue.publishUnique(Sync, { account }, { key: account, mode: 'follow-up' }); // never two of an account side by side
   */
  publishUnique<T>(
    queue: QueueDefinition<T, unknown>,
    payload: NoInfer<T>,
    options: PublishUniqueOptions,
  ): Promise<UniquePublish>;
  publishUnique(stream: string, payload: unknown, options: PublishUniqueOptions): Promise<UniquePublish>;
  async publishUnique(
    queue: QueueRef<unknown>,
    payload: unknown,
    options: PublishUniqueOptions,
  ): Promise<UniquePublish> {
    return this.#uniquePublisher.publish(queue, payload, payload, checkUniqueOptions(options));
  }

  /**
   * Collects items under a key: one task gets all of them, in order, as a list. It runs `waitMs` after the last item, at most `maxWaitMs`
   * after the first one, and at once with `max` items. An item that comes when the task has begun, or when its payload would be too
   * large, begins the next task.
   *
   * @throws SluiceError as `publish`
   * @example
   * const Digests = defineQueue<string[]>('digests');
   * await queue.collect(Digests, comment.id, { key: `user:${user}`, waitMs: 60_000, maxWaitMs: 600_000 });
   */
  collect<T>(queue: QueueDefinition<T[], unknown>, item: NoInfer<T>, options: CollectOptions): Promise<UniquePublish>;
  collect(stream: string, item: unknown, options: CollectOptions): Promise<UniquePublish>;
  async collect(queue: QueueRef<unknown>, item: unknown, options: CollectOptions): Promise<UniquePublish> {
    return this.#uniquePublisher.publish(queue, item, [item], checkCollectOptions(options));
  }

  /**
   * What happens in a queue, in the whole fleet: each event at most once, from the subscription on. Of a queue of named tasks, the events
   * of all its names.
   *
   * While nobody listens, no process sends anything. When somebody subscribes, the processes that work on the queue are told. After a lost
   * connection, and when a process could not send events, a `gap` says that some are missing. The Observable completes when the app
   * stops. It fails if the user has no right to the channel. Nothing may rest on it: what has to happen when a task ends belongs into
   * its handler, into `deadLetterTo`, or behind `publishAndWait`.
   *
   * @throws SluiceError `SLUICE_BAD_NAME`
   * @example
   * @Sse('exports/:id')
   * progress(@Param('id') id: string): Observable<MessageEvent> {
   *   return this.queue.events(Exports).pipe(
   *     filter((event) => event.type === 'progress' && event.id === id),
   *     map((data) => ({ data })),
   *   );
   * }
   */
  events(queue: QueueRef<unknown> | QueueOfTasks): Observable<QueueEvent> {
    const whole = asQueueOfTasks(queue);
    const names = whole ? definitionsOf(whole).map(({ name }) => name) : [oneQueue(queue, 'events')];
    return this.#events.of(names.map((name) => ({ queue: name, keys: this.#keysOf(name) })));
  }

  /**
   * A page of the newest tasks that have ended, newest first: those that were completed (default), or those that failed for good. Empty,
   * unless the processes that handle the queue keep a history: `defineQueue(name, { history: { completed: 1_000, failed: 1_000 } })`.
   *
   * A record is written in the step that settles the task, so a task has one exactly if it was settled, until newer ones take its place.
   * With several groups, each group's end of a task has its own. Of a queue of named tasks: one name after the other.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`
   * @example
   * const { tasks, next } = await queue.history(Exports, { state: 'failed', limit: 50 });
   * for (const { id, finishedAt, reason, error } of tasks) console.log(id, finishedAt, reason, error);
   */
  history(queue: QueueOfTasks, options?: HistoryPageOptions): Promise<HistoryPage>;
  history<T = unknown>(queue: QueueRef<T>, options?: HistoryPageOptions): Promise<HistoryPage<T>>;
  async history(queue: QueueRef<unknown> | QueueOfTasks, options?: HistoryPageOptions): Promise<HistoryPage> {
    const checkedOptions = checkPageOptions(options);
    const whole = asQueueOfTasks(queue);
    const link = this.#connections.get(this.#settings.connection).commands;
    const { keyspace } = this.#connections;
    if (whole) {
      return this.whole.history(whole, checkedOptions, (stream, page) =>
        historyPage({ link, keyspace, queue: stream }, page),
      );
    }
    return historyPage({ link, keyspace, queue: oneQueue(queue, 'history') }, checkedOptions);
  }

  #keysOf(queue: string): QueueKeys {
    return queueKeys(this.#connections.keyspace, queue);
  }
}
