import type { Clock } from '../../redis/index.js';
import type { ResolvedLengthLimit } from '../../queue/limits/length-limit.js';
import { QueueFullError, TaskCancelledError } from '../../queue/queue.errors.js';
import type { DeadLetter, FailedTask, PublishOptions, QueueOfTasks, QueueRef, TaskInfo } from '../../queue/index.js';
import type { Handler } from '../../queue/handlers/handler.registry.js';
import { asQueueOfTasks, definitionsOf, oneQueue } from '../../queue/named-tasks.js';
import { LEVELS, type Priority } from '../../queue/store/levels.js';
import type { Outcome } from '../../queue/results/outcome.js';
import { describeError } from '../../queue/task/describe-error.js';
import type { TestLetter } from './testing-dead-letters.js';
import { TestingHistory } from './outcomes/testing-history.js';
import { TestingEvents } from './outcomes/testing-events.js';
import { TestingOrder } from './outcomes/testing-order.js';
import type { TestingJoin } from './testing-join.js';

/** A task as it was published. */
export interface PublishedTask<T = unknown> {
  readonly id: string;
  readonly payload: T;
}

/** A task that failed on its last attempt, with the very error that its handler threw (`===`). */
export interface DeadTask<T = unknown> extends PublishedTask<T> {
  readonly error: unknown;
}

/** A task that has not ended yet. */
export interface Waiting extends PublishedTask {
  readonly queue: string;
  /** Undefined until `drain` knows which groups read the queue. */
  readonly group: string | undefined;
  /** The level, if the publish gave one. */
  readonly priority?: Priority | undefined;
  readonly attempt: number;
  /** The `maxAttempts` of this task's publish. */
  readonly maxAttempts: number | undefined;
  readonly publishedAt: Date;
  /** The task does not run before this time. */
  readonly dueMs: number;
  /** Published with mode 'follow-up': the task that has to end before this one begins. */
  readonly after?: string;
  /** Of a task that `deadLetterTo` published: the queue in which the other task failed. */
  readonly failureOf?: string;
  /** Whether it has run, and runs again: then it still holds its ordering key. */
  readonly began?: boolean;
  /** Counts how it ends. */
  readonly join?: TestingJoin | undefined;
  readonly deferral: { readonly defers: number; readonly deferredMs: number } | undefined;
}

/** A task that is to run now, and the handler that runs it. */
export interface Taken {
  readonly handler: Handler;
  readonly waiting: Waiting;
}

/** What a task begins with. */
export const FRESH = { attempt: 1, maxAttempts: undefined, dueMs: 0, deferral: undefined };

/** The tasks of all queues of a test: those that were published, those that have not ended, and the dead letters. */
export class TestingTasks {
  /** All tasks that have not ended, in the order in which they run. */
  readonly waiting: Waiting[] = [];
  readonly events: TestingEvents;
  readonly order = new TestingOrder();
  readonly history = new TestingHistory(
    () => this.nowMs(),
    (task) => this.order.keyOf(task),
  );
  readonly #running = new Map<Waiting, AbortController>();
  readonly #idle: (() => void)[] = [];
  readonly #clock: Clock;
  readonly #published = new Map<string, PublishedTask[]>();
  readonly #dead = new Map<string, TestLetter[]>();
  #ids = 0;
  #hasLevels = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.events = new TestingEvents(clock);
  }

  /** The time of the test, in milliseconds. */
  nowMs(): number {
    return this.#clock.wallMs();
  }

  /**
   * Takes the next task that may run, the most urgent one first, or the next one for this handler. If several groups handle its queue, a
   * copy stays for each of the others.
   */
  take(handlers: readonly Handler[], mayRun: (task: Waiting) => boolean, only?: Handler): Taken | undefined {
    for (const waiting of this.#inTurn()) {
      if (!mayRun(waiting)) continue;
      const groups = handlers.filter(({ queue, options }) => {
        return queue === waiting.queue && (waiting.group ?? options.group) === options.group;
      });
      const [handler, ...others] = groups;
      if (!handler || (only && handler !== only)) continue;
      const copies = others.map(({ options }) => ({ ...waiting, group: options.group }));
      this.waiting.splice(this.waiting.indexOf(waiting), 1, ...copies);
      return { handler, waiting: { ...waiting, group: handler.options.group } };
    }
    return undefined;
  }

  #inTurn(): readonly Waiting[] {
    if (!this.#hasLevels) return this.waiting;
    return LEVELS.flatMap((level) => this.waiting.filter(({ priority = 'normal' }) => priority === level));
  }

  /** How many cancelled tasks were dropped. */
  cancelled = 0;

  /** Aborts the run of a task. Returns false if the task does not run. */
  abort(queue: string, id: string): boolean {
    for (const [task, controller] of this.#running) {
      if (task.queue !== queue || task.id !== id) continue;
      controller.abort(new TaskCancelledError(id));
      return true;
    }
    return false;
  }

  /** Runs a task, which has not ended meanwhile. Resolves to false if the task was cancelled and has thrown: it is dropped. */
  async run(task: Waiting, body: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
    const controller = new AbortController();
    this.#running.set(task, controller);
    try {
      await body(controller.signal);
      return true;
    } catch (error) {
      if (!controller.signal.aborted) throw error;
      this.cancelled++;
      this.events.tell(task, { type: 'cancelled' });
      task.join?.settle('removed');
      return false;
    } finally {
      this.#running.delete(task);
      if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** The handler is done with the task. */
  done(handler: Handler, task: Waiting, outcome: Outcome): void {
    this.events.done(task);
    this.history.completed(handler, task, outcome);
  }

  /** The tasks that run. */
  get running(): readonly Waiting[] {
    return [...this.#running.keys()];
  }

  /** Resolves when no task of these queues runs. */
  async idle(queues: readonly string[]): Promise<void> {
    while ([...this.#running.keys()].some(({ queue }) => queues.includes(queue))) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  /** Removes tasks that have not begun. Returns how many. */
  drop(which: (task: Waiting) => boolean): number {
    const dropped = this.waiting.filter(which);
    for (const task of dropped) {
      this.waiting.splice(this.waiting.indexOf(task), 1);
      task.join?.settle('removed');
    }
    return dropped.length;
  }

  /** Whether a task waits or runs. */
  isActive(queue: string, id: string): boolean {
    return [...this.waiting, ...this.#running.keys()].some((each) => each.queue === queue && each.id === id);
  }

  /** Puts another payload and time in the place of a task that has not run. */
  replace(queue: string, task: Waiting): void {
    const at = this.waiting.findIndex((each) => each.queue === queue && each.id === task.id);
    this.waiting.splice(at, 1, task);
    const { id, payload } = task;
    this.#published.set(
      queue,
      this.published(queue).map((each) => (each.id === id ? { id, payload } : each)),
    );
  }

  /** Whether the task may run. */
  isDue({ queue, dueMs, after }: Waiting): boolean {
    return dueMs <= this.nowMs() && (after === undefined || !this.isActive(queue, after));
  }

  /** The tasks that were published to a queue, in order. */
  published(name: string): readonly PublishedTask[] {
    return this.#published.get(name) ?? [];
  }

  /** The dead letters of a queue. */
  letters(name: string): TestLetter[] {
    const letters = this.#dead.get(name) ?? [];
    this.#dead.set(name, letters);
    return letters;
  }

  /** What an operator sees of a queue. */
  infos(name: string): TaskInfo[] {
    const waiting = this.waiting.filter(({ queue }) => queue === name);
    return [
      ...waiting.map((task): TaskInfo => {
        const { id, payload, attempt, publishedAt, priority } = task;
        const state = this.isDue(task) ? 'waiting' : 'delayed';
        const progress = this.events.progressOf(name, id);
        const more = { ...(priority && { priority }), ...(progress !== undefined && { progress }) };
        return { id, state, payload, attempt, publishedAt, ...more };
      }),
      ...this.letters(name).map(({ letter }) => letter),
    ];
  }

  /** The dead letter of a task whose handler threw. */
  letter(
    { id, payload, attempt, publishedAt, group = '', priority }: Waiting,
    thrown: unknown,
    reason: string,
  ): DeadLetter {
    const { error, stack } = describeError(thrown);
    return {
      ...{ id, payload, attempt, publishedAt, state: 'dead', entryId: id, reason, group, deliveries: 1 },
      ...(priority && { priority }),
      ...{ error: error.toString(), stack: stack.toString(), failedAt: new Date(this.nowMs()) },
    };
  }

  /**
   * Refuses to add so many tasks to a queue if that has no room for them. `onFull: 'wait'` does the same: no task runs by itself.
   *
   * @throws QueueFullError
   */
  refuseFull(queue: string, count: number, limit: ResolvedLengthLimit | undefined): void {
    if (limit === undefined) return;
    const length = new Set(
      [...this.waiting, ...this.#running.keys()].filter((task) => task.queue === queue).map(({ id }) => id),
    );
    if (length.size + count > limit.limit) throw new QueueFullError(queue, limit.limit, length.size);
  }

  /** Adds a task, from its payload as JSON. Returns its id. */
  add(
    queue: string,
    text: string,
    { delayMs = 0, runAt, maxAttempts, priority, orderingKey }: PublishOptions,
    id = `${Math.floor(this.#clock.wallMs())}-${this.#ids++}`,
    join?: TestingJoin,
  ): string {
    const task = { id, payload: JSON.parse(text) as unknown };
    this.#published.set(queue, [...(this.#published.get(queue) ?? []), task]);
    const nowMs = this.nowMs();
    const dueMs = runAt?.getTime() ?? (delayMs > 0 ? nowMs + delayMs : 0);
    const publishedAt = new Date(nowMs);
    if (priority !== undefined) this.#hasLevels = true;
    this.order.note(queue, id, orderingKey);
    const told = { maxAttempts, dueMs, publishedAt, priority, join };
    this.waiting.push({ ...FRESH, ...task, queue, group: undefined, ...told });
    return id;
  }

  /** Adds the task about a dead letter, unless the dead letter is such a task itself. */
  addFailure(target: string, { queue, payload, attempt, failureOf }: Waiting, letter: DeadLetter): void {
    if (failureOf !== undefined) return;
    const { id, reason, error, group } = letter;
    const failed: FailedTask = { queue, id, payload, reason, error, attempts: attempt, group };
    this.add(target, JSON.stringify(failed), {});
    const added = this.waiting.pop();
    if (added) this.waiting.push({ ...added, failureOf: queue });
  }
}

/** The streams of a queue: one, or one for each named task. */
export function streamsOf(queue: QueueRef<unknown> | QueueOfTasks, operation: string): string[] {
  const whole = asQueueOfTasks(queue);
  return whole ? definitionsOf(whole).map(({ name }) => name) : [oneQueue(queue, operation)];
}
