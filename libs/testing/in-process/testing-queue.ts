import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { checkName, SLUICE_CLOCK, type Clock } from '../../redis/index.js';
import { queueName, queueSchema, type QueueDefinition, type QueueRef } from '../../queue/define-queue.js';
import { toEnd } from '../../queue/handlers/handler-run.js';
import { HandlerRegistry, type Handler } from '../../queue/handlers/handler.registry.js';
import { QUEUE_OPTIONS } from '../../queue/queue.tokens.js';
import {
  Task,
  type DeadLetter,
  type DeadLetters,
  type ListOptions,
  type PauseResult,
  type PublishOptions,
  type QueueCounts,
  type QueueGroups,
  type QueueService,
  type QueueStats,
  type QueueWorker,
  type RetryTask,
  type TaskInfo,
  type TaskPage,
} from '../../queue/index.js';
import { checkTaskId } from '../../queue/admin/task-info.js';
import { describeError } from '../../queue/task/describe-error.js';
import { testingGroups } from './testing-groups.js';
import { encodePayload } from '../../queue/task/payload.js';
import { checkPublishOptions } from '../../queue/publish/publish.options.js';
import type { ResolvedQueueOptions } from '../../queue/queue.options.js';
import { checked } from '../../queue/task/standard-schema.js';
import { decide, type Disposition } from '../../queue/worker/retry-policy.js';
import { isSluiceError, SluiceError } from '../../weave/index.js';
import { refuseBeforeInit, refuseUnhandled } from './refuse-drain.js';
import { TestingDeadLetters, type TestLetter } from './testing-dead-letters.js';

/** A task as it was published. */
export interface PublishedTask<T = unknown> {
  readonly id: string;
  readonly payload: T;
}

/** A task that failed on its last attempt, with the very error that its handler threw (`===`). */
export interface DeadTask<T = unknown> extends PublishedTask<T> {
  readonly error: unknown;
}

interface Waiting extends PublishedTask {
  readonly queue: string;
  /** Undefined until `drain` knows which groups read the queue. */
  readonly group: string | undefined;
  readonly attempt: number;
  /** The `maxAttempts` of this task's publish. */
  readonly maxAttempts: number | undefined;
  readonly publishedAt: Date;
  /** The task does not run before this time. */
  readonly dueMs: number;
  readonly deferral: { readonly defers: number; readonly deferredMs: number } | undefined;
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
export class TestingQueue implements Pick<QueueService, keyof QueueService>, OnModuleInit {
  #isInitialised = false;
  readonly #registry: HandlerRegistry;
  readonly #clock: Clock;
  readonly #published = new Map<string, PublishedTask[]>();
  readonly #dead = new Map<string, TestLetter[]>();
  readonly #paused = new Set<string>();
  readonly #maxBytes: number;
  #waiting: Waiting[] = [];
  #tasks = 0;

  constructor(
    @Inject(HandlerRegistry) registry: HandlerRegistry,
    @Inject(SLUICE_CLOCK) clock: Clock,
    @Inject(QUEUE_OPTIONS) settings: ResolvedQueueOptions,
  ) {
    this.#maxBytes = settings.maxPayloadBytes;
    this.#registry = registry;
    this.#clock = clock;
  }

  publish<T>(queue: QueueDefinition<T, unknown>, payload: NoInfer<T>, options?: PublishOptions): Promise<string>;
  publish(stream: string, payload: unknown, options?: PublishOptions): Promise<string>;
  async publish(queue: QueueRef<unknown>, payload: unknown, options?: PublishOptions): Promise<string> {
    const [id = ''] = await this.#publish(queue, [payload], () => 'payload', options);
    return id;
  }

  publishMany<T>(
    queue: QueueDefinition<T, unknown>,
    payloads: readonly NoInfer<T>[],
    options?: PublishOptions,
  ): Promise<string[]>;
  publishMany(stream: string, payloads: readonly unknown[], options?: PublishOptions): Promise<string[]>;
  publishMany(queue: QueueRef<unknown>, payloads: readonly unknown[], options?: PublishOptions): Promise<string[]> {
    return this.#publish(queue, payloads, (i) => `payloads[${i}]`, options);
  }

  /** The raw protocol needs a Redis. */
  get raw(): never {
    throw new SluiceError('SLUICE_NO_REDIS', 'queue.raw needs a Redis; use SluiceModule with startRedis()');
  }

  /** All tasks that were published to a queue, in order, also those that have run. */
  published<T>(queue: QueueRef<T>): readonly PublishedTask<T>[] {
    return (this.#published.get(nameOf(queue)) ?? []) as PublishedTask<T>[];
  }

  /** The tasks of a queue that failed on their last attempt, with the error that their handler threw. */
  deadTasks<T>(queue: QueueRef<T>): readonly DeadTask<T>[] {
    return this.#lettersOf(nameOf(queue)).map(({ letter: { id, payload }, thrown }) => ({
      id,
      payload: payload as T,
      error: thrown,
    }));
  }

  /** The dead letters of a queue, with the same methods as on Redis. */
  dead<T = unknown>(queue: QueueRef<T>): DeadLetters<T> {
    const name = nameOf(queue);
    const again = ({ id, payload, publishedAt, group }: DeadLetter<T>): void => {
      this.#waiting.push({ ...FRESH, id, payload, publishedAt, queue: name, group });
    };
    // This object has every public member of DeadLetters, and needs none of the private ones.
    return new TestingDeadLetters(this.#lettersOf(name) as TestLetter<T>[], again) as unknown as DeadLetters<T>;
  }

  counts(queue: QueueRef<unknown>): Promise<QueueCounts> {
    const name = nameOf(queue);
    const all = this.#waiting.filter((each) => each.queue === name);
    const waiting = all.filter((each) => this.#isDue(each));
    const oldest = waiting.reduce((at, { publishedAt }) => Math.min(at, publishedAt.getTime()), Infinity);
    return Promise.resolve({
      waiting: waiting.length,
      running: 0,
      delayed: all.length - waiting.length,
      dead: this.#lettersOf(name).length,
      oldestWaitingMs: waiting.length === 0 ? null : Math.max(0, this.#nowMs() - oldest),
      paused: this.#paused.has(name),
    });
  }

  list(queue: QueueRef<unknown>, { state = 'waiting', limit = 100, after }: ListOptions = {}): Promise<TaskPage> {
    const all = this.#infos(nameOf(queue)).filter((task) => task.state === state);
    const from = all.findIndex(({ id }) => id === after) + 1;
    const tasks = all.slice(from, from + limit);
    return Promise.resolve({ tasks, next: from + limit < all.length ? tasks.at(-1)?.id : undefined });
  }

  async inspect(queue: QueueRef<unknown>, id: string): Promise<TaskInfo | undefined> {
    const known = checkTaskId(id, 'inspect');
    return Promise.resolve(this.#infos(nameOf(queue)).find((task) => task.id === known));
  }

  async remove(queue: QueueRef<unknown>, id: string): Promise<boolean> {
    const name = nameOf(queue);
    checkTaskId(id, 'remove');
    const at = this.#waiting.findIndex((each) => each.queue === name && each.id === id);
    if (at >= 0) this.#waiting.splice(at, 1);
    return at >= 0 || (await this.dead(name).purge({ filter: (letter) => letter.id === id })) === 1;
  }

  /** `drain` runs no task of a paused queue. */
  pause(queue: QueueRef<unknown>): Promise<PauseResult> {
    const name = nameOf(queue);
    const changed = !this.#paused.has(name);
    this.#paused.add(name);
    return Promise.resolve({ changed, unconfirmed: [] });
  }

  resume(queue: QueueRef<unknown>): Promise<boolean> {
    return Promise.resolve(this.#paused.delete(nameOf(queue)));
  }

  /** The groups of the app's handlers. None of them can be dropped. */
  groups(queue: QueueRef<unknown>): QueueGroups {
    const name = nameOf(queue);
    const waitingOf = (group: string): number =>
      this.#waiting.filter((each) => each.queue === name && this.#isDue(each) && (each.group ?? group) === group)
        .length;
    return testingGroups(name, this.#registry.groupsOf(name), waitingOf);
  }

  /** All counts are always 0: all groups of a test are groups of its handlers. */
  stats(): QueueStats {
    return { unreadGroups: 0, unreadReports: 0, leftAlone: 0, leftAloneReports: 0 };
  }

  /** Always empty: no task runs by itself. */
  workers(): Promise<QueueWorker[]> {
    return Promise.resolve([]);
  }

  /**
   * Runs the waiting tasks, one after the other, each up to its handler's `maxAttempts`, until no task is left. This includes the
   * tasks that the handlers publish. If several groups handle a queue, each group gets every task.
   *
   * Handlers may throw `RetryTask`, `SnoozeTask`, `DropTask` and `DeadLetterTask`. A delayed task runs once
   * `TestingClock.advance` has made it due. A retry does not wait for its `backoff`.
   *
   * @throws SluiceError `SLUICE_APP_NOT_INITIALISED`; `SLUICE_QUEUE_NO_HANDLER` if tasks of queues without a handler are due
   *   when all other tasks have run
   */
  async drain(): Promise<{ completed: number; dead: number }> {
    refuseBeforeInit(this.#isInitialised);
    const handlers = this.#registry.enabled();
    const counts = { completed: 0, dead: 0 };
    for (let next = this.#take(handlers); next !== undefined; next = this.#take(handlers)) {
      const { handler, waiting } = next;
      try {
        const task = this.#task(waiting);
        await toEnd(await handler.run(task), handler.site, task);
        counts.completed++;
      } catch (error) {
        const kind = this.#settle(handler, waiting, error);
        if (kind === 'done') counts.completed++;
        if (kind === 'dead') counts.dead++;
      }
    }
    const left = this.#waiting.filter((task) => this.#isDue(task) && !this.#paused.has(task.queue));
    refuseUnhandled(left, handlers);
    return counts;
  }

  onModuleInit(): void {
    this.#isInitialised = true;
  }

  /** Uses the rules of the real queue. */
  #settle({ options, site }: Handler, waiting: Waiting, thrown: unknown): Disposition['kind'] {
    const { maxAttempts, attempt, deferral } = waiting;
    const { defers = 0, deferredMs } = deferral ?? {};
    const context = { options, wallMs: this.#nowMs(), random: () => 0.5 };
    const disposition = decide({ thrown, retryCount: attempt - 1, maxAttempts, defers, deferredMs }, context);
    if (disposition.kind === 'again') {
      if (disposition.backoffError !== undefined) {
        throw new SluiceError('SLUICE_BAD_OPTION', `the backoff of ${site} cannot be used`, {
          cause: disposition.backoffError,
        });
      }
      const asked = isSluiceError(thrown, 'SLUICE_TASK_RETRY') && (thrown as RetryTask).delayMs !== undefined;
      const counted = disposition.retryCount > attempt - 1;
      const dueMs = counted && !asked ? 0 : this.#nowMs() + disposition.delayMs;
      this.#waiting.push({ ...waiting, attempt: disposition.retryCount + 1, dueMs, deferral: disposition.deferral });
    } else if (disposition.kind === 'dead') {
      const letter = this.#letter(waiting, thrown, disposition.reason);
      this.#lettersOf(waiting.queue).push({ letter, thrown });
    }
    return disposition.kind;
  }

  #nowMs(): number {
    return this.#clock.wallMs();
  }

  #isDue({ dueMs }: Waiting): boolean {
    return dueMs <= this.#nowMs();
  }

  #take(handlers: readonly Handler[]): { handler: Handler; waiting: Waiting } | undefined {
    for (const [i, waiting] of this.#waiting.entries()) {
      if (this.#paused.has(waiting.queue) || !this.#isDue(waiting)) continue;
      const groups = handlers.filter(({ queue, options }) => {
        return queue === waiting.queue && (waiting.group ?? options.group) === options.group;
      });
      const [handler, ...others] = groups;
      if (!handler) continue;
      const copies = others.map(({ options }) => ({ ...waiting, group: options.group }));
      this.#waiting.splice(i, 1, ...copies);
      return { handler, waiting: { ...waiting, group: handler.options.group } };
    }
    return undefined;
  }

  async #publish(
    ref: QueueRef<unknown>,
    payloads: readonly unknown[],
    root: (i: number) => string,
    given: PublishOptions | undefined,
  ): Promise<string[]> {
    const queue = nameOf(ref);
    const texts = payloads.map((payload, i) => encodePayload(payload, root(i), this.#maxBytes));
    const options = checkPublishOptions(given);
    const schema = queueSchema(ref);
    if (schema) {
      await Promise.all(
        payloads.map((payload, i) => checked(schema, payload, { queue, root: root(i), at: 'publish' })),
      );
    }
    return texts.map((text) => this.#add(queue, text, options));
  }

  #lettersOf(name: string): TestLetter[] {
    const letters = this.#dead.get(name) ?? [];
    this.#dead.set(name, letters);
    return letters;
  }

  #infos(name: string): TaskInfo[] {
    const waiting = this.#waiting.filter(({ queue }) => queue === name);
    return [
      ...waiting.map((task): TaskInfo => {
        const { id, payload, attempt, publishedAt } = task;
        return { id, state: this.#isDue(task) ? 'waiting' : 'delayed', payload, attempt, publishedAt };
      }),
      ...this.#lettersOf(name).map(({ letter }) => letter),
    ];
  }

  #letter({ id, payload, attempt, publishedAt, group = '' }: Waiting, thrown: unknown, reason: string): DeadLetter {
    const { error, stack } = describeError(thrown);
    return {
      ...{ id, payload, attempt, publishedAt, state: 'dead', entryId: id, reason, group, deliveries: 1 },
      ...{ error: error.toString(), stack: stack.toString(), failedAt: new Date(this.#nowMs()) },
    };
  }

  #task({ id, payload, queue, attempt }: Waiting): Task {
    // Each run gets a payload of its own, as it would from Redis.
    return new Task({ id, payload: structuredClone(payload), stream: queue, attempt });
  }

  #add(queue: string, text: string, { delayMs = 0, runAt, maxAttempts }: PublishOptions): string {
    const id = `${Math.floor(this.#clock.wallMs())}-${this.#tasks++}`;
    const task = { id, payload: JSON.parse(text) as unknown };
    this.#published.set(queue, [...(this.#published.get(queue) ?? []), task]);
    const nowMs = this.#nowMs();
    const dueMs = runAt?.getTime() ?? (delayMs > 0 ? nowMs + delayMs : 0);
    const publishedAt = new Date(nowMs);
    this.#waiting.push({ ...FRESH, ...task, queue, group: undefined, maxAttempts, dueMs, publishedAt });
    return id;
  }
}

const FRESH = { attempt: 1, maxAttempts: undefined, dueMs: 0, deferral: undefined };

function nameOf(queue: QueueRef<unknown>): string {
  return checkName('queue', queueName(queue));
}
