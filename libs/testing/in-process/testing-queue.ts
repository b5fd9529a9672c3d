import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { SLUICE_CLOCK, type Clock } from '../../redis/index.js';
import { asQueueOfTasks, oneQueue } from '../../queue/named-tasks.js';
import { queueSchema } from '../../queue/queue-definition.js';
import { toEnd } from '../../queue/handlers/handler-run.js';
import { HandlerRegistry, type Handler } from '../../queue/handlers/handler.registry.js';
import { QUEUE_OPTIONS } from '../../queue/queue.tokens.js';
import {
  type CollectOptions,
  type DeadLetter,
  type DeadLetters,
  type DeadLettersOfTasks,
  type PublishAndWaitOptions,
  type PublishManyOptions,
  type PublishOptions,
  type PublishUniqueOptions,
  type QueueDefinition,
  type QueueOfTasks,
  type QueueRef,
  type QueueService,
  type TaskSchedules,
  type UniquePublish,
} from '../../queue/index.js';
import { checkCollectOptions, checkUniqueOptions } from '../../queue/publish/unique.options.js';
import { encodePayload } from '../../queue/task/payload.js';
import {
  checkPublishManyOptions,
  isList,
  optionsAt,
  refusePriorityOfMembers,
} from '../../queue/publish/publish.options.js';
import { refuseSchedules } from '../../queue/ordering/ordering.options.js';
import { withKeys } from '../../queue/ordering/with-key.js';
import { lengthLimitOf, refuseLimitOfMembers } from '../../queue/limits/length-limits.js';
import { refuseUnlevelled } from '../../queue/limits/queue-shares.js';
import { severalGroups } from '../../queue/publish/members-publisher.js';
import { takeFollowUp, type FollowUp } from '../../queue/publish/when-settled.options.js';
import { batchedOutcome, returnedOutcome, type Outcome } from '../../queue/results/outcome.js';
import { joining } from '../../queue/results/awaited-publisher.js';
import { checkWaitOptions } from '../../queue/results/wait.options.js';
import type { ResolvedQueueOptions } from '../../queue/queue.options.js';
import { checked, type StandardSchema } from '../../queue/task/standard-schema.js';
import type { Disposition } from '../../queue/worker/settling/retry-policy.js';
import { SluiceError } from '../../weave/index.js';
import { refuseBeforeInit, refuseUnhandled } from './refuse-drain.js';
import { TestingAdministration } from './testing-administration.js';
import { batchOf, runTestBatch } from './testing-batches.js';
import { TestingDeadLetters, type TestLetter } from './testing-dead-letters.js';
import { TestingJoin, settledTasks } from './testing-join.js';
import { TestingKeys } from './testing-keys.js';
import { TestingResults } from './outcomes/testing-results.js';
import { settleRun } from './outcomes/testing-settlement.js';
import { TestingSchedules, type TestSchedule } from './testing-schedules.js';
import {
  FRESH,
  TestingTasks,
  streamsOf,
  type DeadTask,
  type PublishedTask,
  type Taken,
  type Waiting,
} from './testing-tasks.js';

interface Counts {
  completed: number;
  dead: number;
}

/**
 * The queue of a test: `publish` records, `drain` runs the handlers. No task runs by itself. `TestingClock.advance` makes delayed
 * tasks due.
 *
 * @example
 * const queue = app.get(TestingQueue);
 * await app.get(ShopService).order(book);
 * expect(queue.published(Orders)).toEqual([{ id: expect.any(String), payload: book }]);
 * expect(await queue.drain()).toEqual({ completed: 1, dead: 0 });
 */
@Injectable()
export class TestingQueue
  extends TestingAdministration
  implements Pick<QueueService, keyof QueueService>, OnModuleInit, OnApplicationBootstrap, OnModuleDestroy
{
  #isInitialised = false;
  readonly #keys: TestingKeys;
  readonly #results: TestingResults;
  /** What the `drain` under way has run; undefined: none is. */
  #counts: { completed: number; dead: number } | undefined;
  readonly #schedules = new Map<string, Map<string, TestSchedule>>();
  readonly #settings: ResolvedQueueOptions;

  constructor(
    @Inject(HandlerRegistry) registry: HandlerRegistry,
    @Inject(SLUICE_CLOCK) clock: Clock,
    @Inject(QUEUE_OPTIONS) settings: ResolvedQueueOptions,
  ) {
    const tasks = new TestingTasks(clock);
    const keys = new TestingKeys(tasks, settings, (queue) => registry.groupsOf(queue));
    super({ tasks, keys, registry, clock });
    this.#settings = settings;
    this.#keys = keys;
    this.#results = new TestingResults(clock, tasks.events);
  }

  publish<T>(queue: QueueDefinition<T, unknown>, payload: NoInfer<T>, options?: PublishOptions): Promise<string>;
  publish(stream: string, payload: unknown, options?: PublishOptions): Promise<string>;
  async publish(queue: QueueRef<unknown>, payload: unknown, options?: PublishOptions): Promise<string> {
    return (await this.#publish(queue, [payload], () => 'payload', options))[0] ?? '';
  }

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
  publishMany(
    queue: QueueRef<unknown>,
    payloads: readonly unknown[],
    options?: PublishManyOptions<never>,
  ): Promise<string[]> {
    return this.#publish(queue, payloads, (i) => `payloads[${i}]`, options as PublishManyOptions<unknown> | undefined);
  }

  /**
   * Publishes one task and waits until `drain` has run it: do not await the call before that. `timeoutMs` is counted on the `TestingClock`.
   * A call by a handler that `drain` runs has the waiting tasks run at once.
   */
  publishAndWait<T, R>(
    queue: QueueDefinition<T, unknown, unknown, R>,
    payload: NoInfer<T>,
    options?: PublishAndWaitOptions,
  ): Promise<R>;
  publishAndWait(stream: string, payload: unknown, options?: PublishAndWaitOptions): Promise<unknown>;
  async publishAndWait(queue: QueueRef<unknown>, payload: unknown, options?: PublishAndWaitOptions): Promise<unknown> {
    const name = oneQueue(queue, 'publishAndWait');
    const request = checkWaitOptions(options);
    const { group = this.registry.groupOf(name) } = request;
    const isShared = this.registry.groupsOf(name).length > 1;
    return this.#results.publish(
      { ref: queue, queue: name, group: isShared ? group : undefined, request },
      (published) =>
        request.key === undefined
          ? this.#publish(queue, [payload], () => 'payload', request.options, published)
          : this.#keys.publish(queue, payload, payload, joining(request.key, request.options), published),
      (isWanted) => this.#counts && this.#run(this.#counts, isWanted),
    );
  }

  async publishUnique(
    queue: QueueRef<unknown>,
    payload: unknown,
    options: PublishUniqueOptions,
  ): Promise<UniquePublish> {
    return this.#keys.publish(queue, payload, payload, checkUniqueOptions(options));
  }

  async collect(queue: QueueRef<unknown>, item: unknown, options: CollectOptions): Promise<UniquePublish> {
    return this.#keys.publish(queue, item, [item], checkCollectOptions(options));
  }

  /** The raw protocol needs a Redis. */
  get raw(): never {
    throw new SluiceError('SLUICE_NO_REDIS', 'queue.raw needs a Redis; use SluiceModule with startRedis()');
  }

  /** All tasks that were published to a queue, in order, also those that have run. Of named tasks: one name after the other. */
  published<T>(queue: QueueRef<T> | QueueOfTasks): readonly PublishedTask<T>[] {
    return streamsOf(queue, 'published').flatMap((name) => this.tasks.published(name) as PublishedTask<T>[]);
  }

  /** The tasks of a queue that failed on their last attempt, with the error that their handler threw. */
  deadTasks<T>(queue: QueueRef<T> | QueueOfTasks): readonly DeadTask<T>[] {
    const letters = streamsOf(queue, 'deadTasks').flatMap((name) => this.tasks.letters(name));
    return letters.map(({ letter: { id, payload }, thrown }) => ({ id, payload: payload as T, error: thrown }));
  }

  /** A queue's schedules. `TestingClock.advance` makes them due, and `drain` runs their tasks. */
  schedules<T>(queue: QueueDefinition<T, unknown>): TaskSchedules<T>;
  schedules(stream: string): TaskSchedules;
  schedules(queue: QueueRef<unknown>): TaskSchedules {
    refuseSchedules(queue);
    // This object has every public member of TaskSchedules, and needs none of the private ones.
    return this.#schedulesOf(oneQueue(queue, 'schedules'), queueSchema(queue)) as unknown as TaskSchedules;
  }

  /** The dead letters of a queue, with the same methods as on Redis. */
  dead(queue: QueueOfTasks): DeadLettersOfTasks;
  dead<T = unknown>(queue: QueueRef<T>): DeadLetters<T>;
  dead<T>(queue: QueueRef<T> | QueueOfTasks): DeadLettersOfTasks | DeadLetters<T> {
    const whole = asQueueOfTasks(queue);
    if (whole) return this.whole.dead(whole);
    const name = oneQueue(queue, 'dead');
    const again = ({ id, payload, publishedAt, group, priority }: DeadLetter<T>): void => {
      // A key that stopped goes on with it.
      const began = this.tasks.order.stops(name, this.registry);
      this.tasks.waiting.push({ ...FRESH, id, payload, publishedAt, queue: name, group, priority, began });
    };
    // This object has every public member of DeadLetters, and needs none of the private ones.
    return new TestingDeadLetters(this.tasks.letters(name) as TestLetter<T>[], again);
  }

  /**
   * Runs the waiting tasks, one after the other, each up to its handler's `maxAttempts`, until no task is left. This includes the
   * tasks that the handlers publish. Of a queue with levels of priority, all tasks of a level run before those of the next one. If several groups handle a queue, each group gets every task.
   *
   * Handlers may throw `RetryTask`, `SnoozeTask`, `DropTask` and `DeadLetterTask`. A delayed task runs once
   * `TestingClock.advance` has made it due. A retry does not wait for its `backoff`. A handler of batches gets what waits, up to `max`.
   *
   * @throws SluiceError `SLUICE_APP_NOT_INITIALISED`; `SLUICE_QUEUE_NO_HANDLER` if tasks of queues without a handler are due
   *   when all other tasks have run
   */
  async drain(): Promise<Counts> {
    refuseBeforeInit(this.#isInitialised);
    await this.#results.published();
    const counts = (this.#counts = { completed: 0, dead: 0 });
    await this.#run(counts, () => true).finally(() => {
      this.#counts = undefined;
    });
    const left = this.tasks.waiting.filter((task) => this.mayRun(task));
    refuseUnhandled(left, this.registry.enabled());
    return counts;
  }

  /** Runs the waiting tasks, one after the other, while `isWanted`. */
  async #run(counts: { completed: number; dead: number }, isWanted: () => boolean): Promise<void> {
    // The levels of a queue have one handler.
    const handlers = this.registry.enabled().filter(({ place, queue }) => place === queue);
    const take = (only?: Handler): Taken | undefined => this.tasks.take(handlers, (task) => this.mayRun(task), only);
    for (let next = take(); next !== undefined; next = isWanted() ? take() : undefined) {
      const { handler, waiting } = next;
      if (handler.runBatch) {
        await this.#drainBatch(handler, batchOf(handler, waiting, take), counts);
        continue;
      }
      try {
        let returned: unknown;
        const done = await this.tasks.run(waiting, async (signal) => {
          const task = this.notes.task(handler, waiting, signal);
          returned = await toEnd(await handler.run(task), handler.site, task);
          await this.notes.acknowledged(waiting);
        });
        if (done)
          this.#ended('done', waiting, counts, [handler, returnedOutcome(returned, this.#settings.maxPayloadBytes)]);
        else this.#results.cancelled(waiting);
      } catch (error) {
        this.#ended(settleRun(this.tasks, this.#results, handler, waiting, error), waiting, counts);
      }
    }
  }

  onModuleDestroy(): void {
    this.#results.close();
    this.tasks.events.close();
  }

  async #drainBatch(handler: Handler, batch: readonly Waiting[], counts: Counts): Promise<void> {
    const failures = await runTestBatch(this.tasks, handler, batch, this.notes);
    for (const [i, waiting] of batch.entries()) {
      const failure = failures[i];
      if (failure === undefined) this.#ended('done', waiting, counts, [handler, batchedOutcome()]);
      else if (failure === 'cancelled') this.#results.cancelled(waiting);
      else this.#ended(settleRun(this.tasks, this.#results, handler, waiting, failure.error), waiting, counts);
    }
  }

  /** Counts a task, unless it will run again. */
  #ended(kind: Disposition['kind'], waiting: Waiting, counts: Counts, done?: [Handler, Outcome]): void {
    this.notes.end(waiting);
    if (kind === 'again') return;
    if (done) this.tasks.done(done[0], waiting, done[1]);
    if (done) this.#results.ended(waiting, done[1]);
    counts[kind === 'done' ? 'completed' : 'dead']++;
    waiting.join?.settle(kind === 'done' ? 'completed' : 'failed');
  }

  onModuleInit(): void {
    this.#isInitialised = true;
  }

  onApplicationBootstrap(): void {
    for (const { queue, schedules } of this.registry.enabled()) {
      for (const stored of schedules) this.#schedulesOf(queue, undefined).declare(stored);
    }
  }

  #schedulesOf(queue: string, schema: StandardSchema | undefined): TestingSchedules {
    const all = this.#schedules.get(queue) ?? new Map<string, TestSchedule>();
    this.#schedules.set(queue, all);
    const publish = (id: string, payload: string): void => void this.tasks.add(queue, payload, {}, id);
    return new TestingSchedules({
      queue,
      schema,
      all,
      clock: this.clock,
      maxPayloadBytes: this.#settings.maxPayloadBytes,
      publish,
    });
  }

  async #publish(
    ref: QueueRef<unknown>,
    payloads: readonly unknown[],
    root: (i: number) => string,
    given: PublishManyOptions<unknown> | undefined,
    published: (id: string) => void = () => {},
  ): Promise<string[]> {
    const queue = oneQueue(ref, 'publish');
    const texts = payloads.map((payload, i) => encodePayload(payload, root(i), this.#settings.maxPayloadBytes));
    const context = { queue, total: payloads.length, maxPayloadBytes: this.#settings.maxPayloadBytes };
    const { followUp, options: rest } = takeFollowUp(given, { ...context, keyspace: undefined });
    const follows = followUp && (await followUp);
    const options = withKeys(ref, payloads, checkPublishManyOptions(rest, payloads));
    const schema = queueSchema(ref);
    if (schema) {
      await Promise.all(
        payloads.map((payload, i) => checked(schema, payload, { queue, root: root(i), at: 'publish' })),
      );
    }
    const all = isList(options) ? options : [options];
    if (follows) refusePriorityOfMembers(all);
    const sharesOf = this.registry.sharesOf.bind(this.registry);
    refuseUnlevelled(ref, queue, all, { sharesOf, queues: this.#settings.queues });
    const limit = lengthLimitOf(ref, queue, this.#settings.queues);
    const join = follows && this.#join(queue, follows, payloads.length, limit);
    this.tasks.refuseFull(queue, payloads.length, limit);
    const ids = texts.map((text, i) => this.tasks.add(queue, text, optionsAt(options, i), undefined, join));
    for (const id of ids) published(id);
    return ids;
  }

  #join(queue: string, followUp: FollowUp, total: number, limit: ReturnType<typeof lengthLimitOf>): TestingJoin {
    refuseLimitOfMembers(queue, limit);
    const groups = this.registry.groupsOf(queue);
    if (groups.length > 1) throw severalGroups(queue, groups);
    return new TestingJoin(total, (counts) => {
      this.tasks.add(followUp.queue, settledTasks(followUp.payload, counts), {});
    });
  }
}
