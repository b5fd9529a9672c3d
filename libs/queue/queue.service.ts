import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, type Link, type RedisConnections } from '../redis/index.js';
import { text } from '../weave/index.js';
import { asQueueOfTasks, oneQueue, taggedName, type QueueOfTasks, type TaskSpecs } from './named-tasks.js';
import { queueSchema, type QueueDefinition, type QueueRef } from './queue-definition.js';
import { HandlerRegistry } from './handlers/handler.registry.js';
import { QUEUE_OPTIONS } from './queue.tokens.js';
import { DeadLetters } from './admin/dead-letters.js';
import { QueueGroups } from './admin/queue-groups.js';
import { PauseSwitch, type PauseResult } from './admin/pause-switch.js';
import { encodePayload } from './task/payload.js';
import {
  checkPublishManyOptions,
  checkPublishOptions,
  type PublishManyOptions,
  type PublishOptions,
} from './publish/publish.options.js';
import { DelayedWatch } from './publish/delayed-watch.js';
import { Publisher } from './publish/publisher.js';
import { UniquePublisher } from './publish/unique-publisher.js';
import {
  checkCollectOptions,
  checkUniqueOptions,
  type CollectOptions,
  type PublishUniqueOptions,
  type UniquePublish,
} from './publish/unique.options.js';
import { namesKeys, queueKeys, type QueueKeys } from './store/queue.keys.js';
import { namesScript } from './store/scripts/names.script.js';
import type { ResolvedQueueOptions } from './queue.options.js';
import { QueueOperations, type GroupChoice, type ListOptions, type TaskPage } from './admin/queue.operations.js';
import { RawQueue } from './queue.raw.js';
import type { Counts } from './store/scripts/counts.script.js';
import { TaskSchedules } from './schedules/task-schedules.js';
import { checked } from './task/standard-schema.js';
import { checkTaskRef, type TaskInfo, type TaskRef } from './admin/task-info.js';
import { TaskSearch } from './admin/task-search.js';
import { WholeQueue, type CountsOfTasks, type DeadLettersOfTasks } from './admin/whole-queue.js';
import type { QueueWorker } from './admin/worker-info.js';
import { QueueTally, type QueueStats } from './observe/queue.stats.js';

/**
 * Puts tasks into queues.
 *
 * @example
 * constructor(private readonly queue: QueueService) {}
 * const id = await this.queue.publish(Orders, order);
 */
@Injectable()
export class QueueService {
  /** The plain protocol, as redis-cli and clients in other languages use it. */
  readonly raw: RawQueue;
  readonly #connections: RedisConnections;
  readonly #link: Link;
  readonly #operations: QueueOperations;
  readonly #pauseSwitch: PauseSwitch;
  readonly #search: TaskSearch;
  readonly #whole: WholeQueue;
  readonly #publisher: Publisher;
  readonly #uniquePublisher: UniquePublisher;
  readonly #settings: ResolvedQueueOptions;
  readonly #registry: HandlerRegistry;
  readonly #tally: QueueTally;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(QUEUE_OPTIONS) settings: ResolvedQueueOptions,
    @Inject(HandlerRegistry) registry: HandlerRegistry,
    @Inject(QueueTally) tally: QueueTally,
  ) {
    const { keyspace, clock, shutdown } = connections;
    const connection = connections.get(settings.connection);
    connection.requireNoEviction('tasks');
    const inboxes = connection.inbox.prefix;
    this.#connections = connections;
    this.#settings = settings;
    this.#registry = registry;
    this.#tally = tally;
    this.#link = connection.commands;
    const watch = new DelayedWatch({ link: this.#link, clock, log: connections.logger });
    const onDelayed = (queue: string, keys: QueueKeys, delayMs: number): void => {
      if (!registry.worksOn(queue)) watch.expect(queue, keys, delayMs);
    };
    const { propagation } = settings;
    this.#publisher = new Publisher({ link: this.#link, clock, inboxes, propagation, onDelayed });
    this.#uniquePublisher = new UniquePublisher({
      ...{ link: this.#link, keyspace, clock, inboxes, publisher: this.#publisher, onDelayed },
      maxPayloadBytes: settings.maxPayloadBytes,
    });
    this.#operations = new QueueOperations(connection, keyspace, (queue) => registry.groupOf(queue));
    this.#pauseSwitch = new PauseSwitch({ connection, keyspace, clock, leaseMs: settings.leaseMs });
    this.#search = new TaskSearch(this.#link, keyspace);
    this.#whole = new WholeQueue(this, (queue, later) => this.#names(queue, later));
    this.raw = new RawQueue(connection, keyspace, clock, settings.maxPayloadBytes);
    shutdown.onDrain(() => this.raw.close());
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
   * `SLUICE_QUEUE_PAYLOAD_TOO_LARGE`, `SLUICE_QUEUE_INVALID_PAYLOAD`, `SLUICE_REDIS_UNAVAILABLE`, `SLUICE_PUBLISH_UNCONFIRMED`
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
    return this.#publisher.one(name, this.#keysOf(name), text, checkPublishOptions(options));
  }

  /**
   * Publishes many tasks and resolves with their ids, in order.
   *
   * `options` are those of all tasks, or a function that makes those of each. All payloads and options are checked before any is sent. The call is no transaction: the tasks are sent in chunks of at most 1,000, and
   * if Redis fails on the way, some may have been published. Then the promise rejects with `SLUICE_PUBLISH_UNCONFIRMED`. Its
   * `outcomes` say for each payload whether the task was published (with its id), was not sent, or may have been published.
   *
   * @example
   * await queue.publishMany(Mails, mails, ({ trialEnds }) => ({ runAt: trialEnds, maxAttempts: 5 }));
   */
  publishMany<T>(
    queue: QueueDefinition<T, unknown>,
    payloads: readonly NoInfer<T>[],
    options?: PublishManyOptions<NoInfer<T>>,
  ): Promise<string[]>;
  publishMany<T>(stream: string, payloads: readonly T[], options?: PublishManyOptions<T>): Promise<string[]>;
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
    const checkedOptions = checkPublishManyOptions(options as PublishManyOptions<unknown> | undefined, payloads);
    return this.#publisher.many(name, this.#keysOf(name), texts, checkedOptions);
  }

  /**
   * Publishes a task under a key. While the key is taken, nothing is published, or (`mode: 'debounce'`) the task that waits gets the new
   * payload.
   *
   * A task that can be found nowhere any more does not hold its key, and a dead letter frees it. If the promise rejects with
   * `SLUICE_PUBLISH_UNCONFIRMED`, a repeat with the error's `nonce` never makes a second task.
   *
   * @throws SluiceError as `publish`
   * @example
   * const { outcome } = await queue.publishUnique(Reports, { user }, { key: `report:${user}` }); // 'published' or 'skipped'
   * await queue.publishUnique(Index, { page }, { key: page, mode: 'debounce', windowMs: 5_000 });
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
   * How many tasks of a queue wait, are with workers, are due later, or are dead letters, at one instant; how long the
   * oldest task has waited; and whether the queue is paused.
   *
   * `running` counts the tasks that workers have, including prefetched ones. A queue of named tasks has the counts of all its names
   * together, and in `tasks` those of each; each name is counted at an instant of its own.
   */
  counts<Specs extends TaskSpecs>(
    queue: QueueOfTasks<Specs>,
    choice?: GroupChoice,
  ): Promise<CountsOfTasks<keyof Specs & string>>;
  counts(queue: QueueRef<unknown>, choice?: GroupChoice): Promise<Counts>;
  async counts(queue: QueueRef<unknown> | QueueOfTasks, choice: GroupChoice = {}): Promise<Counts> {
    const whole = asQueueOfTasks(queue);
    return whole ? this.#whole.counts(whole, choice) : this.#operations.counts(oneQueue(queue, 'counts'), choice);
  }

  /**
   * A page of a queue's tasks of one state: `'waiting'` (default), `'running'`, `'delayed'`, `'dead'`. Of a queue of named tasks: one
   * name after the other, and each task has its `name`.
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
  async list(queue: QueueRef<unknown> | QueueOfTasks, options: ListOptions = {}): Promise<TaskPage> {
    const whole = asQueueOfTasks(queue);
    return whole ? this.#whole.list(whole, options) : this.#operations.list(oneQueue(queue, 'list'), options);
  }

  /**
   * Finds a task by the id that `publish` returned, or by the `{ key }` of `publishUnique` and `collect`. Resolves to undefined if the task is done, or never existed.
   *
   * It is one script on Redis. Its cost does not grow with the queue or with its dead letters. If several groups read the queue,
   * the answer is for one group: a task that this group has settled is done.
   *
   * @example
   * const task = await queue.inspect(Orders, id);
   * return task === undefined ? 'done' : task.state;
   */
  async inspect(queue: QueueRef<unknown>, task: TaskRef, choice: GroupChoice = {}): Promise<TaskInfo | undefined> {
    const name = oneQueue(queue, 'inspect');
    const group = this.#groupOf(name, choice, 'inspect');
    const id = await this.#search.idOf(name, checkTaskRef(task, 'inspect'));
    return id === undefined ? undefined : this.#search.inspect(name, id, group);
  }

  /**
   * Removes a task from the queue, wherever it waits: the task never runs (again). Resolves to whether it was removed.
   *
   * Resolves to false if the task is not there, or is with a worker: a running task is not stopped. Call `pause` first, so that
   * workers return the tasks that they did not start.
   */
  async remove(queue: QueueRef<unknown>, task: TaskRef, choice: GroupChoice = {}): Promise<boolean> {
    const name = oneQueue(queue, 'remove');
    const group = this.#groupOf(name, choice, 'remove');
    const id = await this.#search.idOf(name, checkTaskRef(task, 'remove'));
    return id !== undefined && this.#search.remove(name, id, group);
  }

  /**
   * Stops all work on a queue, in every process, until `resume`, also through restarts. Publishing goes on.
   *
   * Resolves once every living process that works on the queue has confirmed: then no task that is published later starts before
   * `resume`. The call waits for at most a third of a lease, and names in `unconfirmed` the processes that did not answer.
   * Running tasks finish. Prefetched tasks that did not start are returned, and count as waiting. A pause of a queue of named tasks is
   * a pause of each name, also of names that a later release adds before `resume`.
   *
   * @example
   * const { unconfirmed } = await queue.pause(Orders);
   * if (unconfirmed.length > 0) logger.warn(`still to hear of it: ${unconfirmed.join(', ')}`);
   */
  async pause(queue: QueueRef<unknown> | QueueOfTasks): Promise<PauseResult> {
    const whole = asQueueOfTasks(queue);
    return whole ? this.#whole.pause(whole) : this.#pauseSwitch.pause(oneQueue(queue, 'pause'));
  }

  /**
   * Ends a `pause`. Resolves to whether the queue was paused. Of a queue of named tasks, all names are resumed, also those that were
   * paused alone.
   */
  async resume(queue: QueueRef<unknown> | QueueOfTasks): Promise<boolean> {
    const whole = asQueueOfTasks(queue);
    return whole ? this.#whole.resume(whole) : this.#pauseSwitch.resume(oneQueue(queue, 'resume'));
  }

  /** The processes that work on a queue now. A process that was killed is included until its lease has ended. */
  async workers(queue: QueueRef<unknown> | QueueOfTasks): Promise<QueueWorker[]> {
    const whole = asQueueOfTasks(queue);
    return whole ? this.#whole.workers(whole) : this.#operations.workers(oneQueue(queue, 'workers'));
  }

  /** The consumer groups of a queue: lists them, and deletes those for which no process reads any more. */
  groups(queue: QueueRef<unknown>): QueueGroups {
    return new QueueGroups(this.#link, this.#connections.keyspace, oneQueue(queue, 'groups'));
  }

  /**
   * What this process has noticed about its queues since it started. Sends no command to Redis.
   *
   * @example
   * const { unreadGroups } = queue.stats();
   * if (unreadGroups > 0) alert(`${unreadGroups} groups have tasks, and nobody reads them`);
   */
  stats(): QueueStats {
    return this.#tally.stats();
  }

  /** A queue's dead letters, or those of all its named tasks: lists them, brings them back into the queue, and deletes them. */
  dead(queue: QueueOfTasks): DeadLettersOfTasks;
  dead<T = unknown>(queue: QueueRef<T>): DeadLetters<T>;
  dead(queue: QueueRef<unknown> | QueueOfTasks): DeadLettersOfTasks {
    const whole = asQueueOfTasks(queue);
    const { clock, keyspace } = this.#connections;
    return whole ? this.#whole.dead(whole) : new DeadLetters(this.#link, clock, keyspace, oneQueue(queue, 'dead'));
  }

  #names(queue: string, later?: 'paused' | 'resumed'): Promise<readonly string[]> {
    const keys = namesKeys(this.#connections.keyspace, taggedName(queue));
    return namesScript.run(this.#link, { keys: { ...keys }, args: { later: later ? LATER[later] : -1 } });
  }

  /**
   * A queue's schedules: lists them, adds, pauses and removes them while the app runs. Schedules that the code knows are better
   * declared by `@TaskSchedule`.
   */
  schedules<T>(queue: QueueDefinition<T, unknown>): TaskSchedules<T>;
  schedules(stream: string): TaskSchedules;
  schedules(queue: QueueRef<unknown>): TaskSchedules {
    const { keyspace } = this.#connections;
    const { maxPayloadBytes, connection } = this.#settings;
    const { prefix: inboxes } = this.#connections.get(connection).inbox;
    const given = { link: this.#link, keyspace, inboxes, maxPayloadBytes, queue: oneQueue(queue, 'schedules') };
    return new TaskSchedules({ ...given, schema: queueSchema(queue) });
  }

  #groupOf(queue: string, { group }: GroupChoice, operation: string): string {
    return text()(group, `${operation}: group`) ?? this.#registry.groupOf(queue);
  }

  #keysOf(queue: string): QueueKeys {
    return queueKeys(this.#connections.keyspace, queue);
  }
}

const LATER = { paused: 1, resumed: 0 } as const;
