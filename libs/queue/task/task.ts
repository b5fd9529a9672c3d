import { SluiceError } from '../../weave/index.js';
import { DeadLetterTask } from '../control-flow.js';
import type { AckWrite } from '../notes/ack-write.js';
import { TaskNotes, type NextOptions, type Noted, type TaskRun } from '../notes/task-notes.js';
import type { QueueDefinition } from '../queue-definition.js';
import { NO_TRACE, type TraceContext } from './trace-context.js';

/** What a task belongs to while it runs. */
export interface TaskHost {
  readonly signal: AbortSignal;
  report(value: unknown): void;
}

/** What was reported last. Few tasks report, so a task has no field for it. */
const REPORTED = new WeakMap<Task, unknown>();

/** The parts of a {@link Task}. Only `payload` has no default. */
export interface TaskParts<T> {
  payload: T;
  id?: string;
  stream?: string;
  /** Of a queue with named tasks: the task's name. */
  name?: string;
  attempt?: number;
  deliveries?: number;
  publishedAt?: Date | number;
  trace?: TraceContext;
  /** A signal, or an object that makes one when it is first read. */
  signal?: AbortSignal | { readonly signal: AbortSignal } | TaskHost;
}

/**
 * One unit of work, as its handler receives it. Each task is delivered **at least once**: make handlers idempotent, by `id`.
 *
 * @example
 * // in a unit test of a handler
 * await shop.process(new Task({ payload: order }));
 */
export class Task<T = unknown> {
  /** The id that `publish` returned. Retries and redeliveries keep it. */
  readonly id: string;
  readonly payload: T;
  /** The name of the queue. */
  readonly stream: string;
  /**
   * The task's name, if its queue has named tasks: `'import'` of `Files.tasks.import`. Absent otherwise, and absent for handlers that
   * are given the bare name of a stream.
   */
  declare readonly name?: string;
  /** The number of this run, from 1, counted by the handler's own failures: one more after each run that threw. */
  readonly attempt: number;
  /** How often this attempt was given to a worker, from 1. Above 1: a worker that had the task died, or was presumed dead. */
  readonly deliveries: number;
  /** The W3C trace context that came with the task: `task.trace.traceparent`. Empty if there was none. */
  readonly trace: TraceContext;
  readonly #publishedAt: Date | number;
  readonly #run: TaskRun | Task;

  constructor(parts: TaskParts<T>) {
    this.id = parts.id ?? '0-1';
    this.payload = parts.payload;
    this.stream = parts.stream ?? 'tasks';
    // Most tasks have no name, and no field for it.
    if (parts.name !== undefined) this.name = parts.name;
    this.attempt = parts.attempt ?? 1;
    this.deliveries = parts.deliveries ?? 1;
    this.trace = parts.trace ?? NO_TRACE;
    this.#publishedAt = parts.publishedAt ?? Date.now();
    const { signal } = parts;
    this.#run = signal instanceof Task || isRun(signal) ? signal : new RunByHand(this.stream, signal);
  }

  /** When the task was first published, to the second, on the publisher's clock. */
  get publishedAt(): Date {
    return new Date(this.#publishedAt);
  }

  /**
   * Aborts when the handler's `timeoutMs` are over (the reason is a `TaskTimeoutError`), when the task is cancelled (a
   * `TaskCancelledError`), or when the app shuts down and its `drainMs` are over. In the last case the task is given to another
   * process.
   */
  get signal(): AbortSignal {
    return this.#run.signal;
  }

  /**
   * Notes a task that is published if, and only if, this delivery is acknowledged, in the same step. If the run fails, the note is
   * dropped. Call it as often as there are tasks to publish, at most 100 times.
   *
   * `delayMs` counts from the acknowledgement. The task is published also if its queue has a `maxLength` that is reached. With several
   * groups on this queue, each group publishes what its own handler notes.
   *
   * @throws SluiceError `SLUICE_CROSS_SLOT` if the queue is in another Cluster slot, on a single server too; `SLUICE_TASK_ENDED` if the
   * run has ended; otherwise as `publish`
   * @example
   * task.next(Invoices, { order: task.payload.id }); // '{shop:orders}.invoices', for tasks of 'orders' of the namespace 'shop'
   */
  next<P>(queue: QueueDefinition<P, unknown>, payload: NoInfer<P>, options?: NextOptions): void;
  next(stream: string, payload: unknown, options?: NextOptions): void;
  next(queue: unknown, payload: unknown, options?: NextOptions): void {
    this.#notes.next(queue, payload, options);
  }

  /**
   * Notes writes that are done if, and only if, this delivery is acknowledged, in the same step. If the run fails, the notes are dropped.
   *
   * A key that has another type than a write needs, a number that is none or becomes too large, or a missing right, fails the attempt
   * with a {@link TaskAckRefusedError}: nothing was written, and the task is tried again. At most 100 writes for one task.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION` for what is none of the writes; `SLUICE_BAD_NAME`; `SLUICE_CROSS_SLOT` if a key is in another
   * Cluster slot than the queue, on a single server too; `SLUICE_TASK_ENDED` if the run has ended
   * @example
   * task.onAck([
   *   ['incrby', '{shop:orders}:paid', 1], // a key in the slot of the queue 'orders' of the namespace 'shop'
   *   ['hset', '{shop:orders}:last', 'id', task.id],
   * ]);
   */
  onAck(writes: readonly AckWrite[]): void {
    this.#notes.write(writes);
  }

  /** What `next` and `onAck` have noted so far. A unit test of a handler looks here: nothing acknowledges a task that was made by hand. */
  get noted(): Noted {
    return this.#notes.noted;
  }

  /** Copies of a task note where the task itself does. */
  get #notes(): TaskNotes {
    const run = this.#run;
    return run instanceof Task ? run.#notes : run.notes;
  }

  /**
   * Reports how far the run is. Whoever listens to `queue.events` gets the value, `publishAndWait` calls its `onProgress`, and
   * `queue.inspect` shows the last one.
   *
   * The value is JSON of at most 4,096 bytes. Of many calls only the newest value is sent, ten times a second at most for all tasks of a
   * queue in this process. The call returns at once and never throws: a value that cannot be sent is dropped with a warning in
   * the log, and while Redis cannot be reached, values are dropped. Calls after the run has ended do nothing.
   *
   * @example
   * task.progress({ rows, of: total });
   */
  progress(value: unknown): void {
    REPORTED.set(this, value);
    const run = this.#run;
    if (run instanceof Task) run.progress(value);
    else run.report?.(value);
  }

  /** The value of the last `progress` call on this object, for unit tests of handlers; undefined: there was none. */
  get reported(): unknown {
    return REPORTED.get(this);
  }

  /**
   * Makes the task a dead letter with this reason at once, even if attempts are left.
   *
   * In a batch that ends the run of all its tasks, of which the others count a failed attempt: `fail` does not.
   *
   * @throws DeadLetterTask always; do not catch it
   */
  deadLetter(reason: string, options?: { cause?: unknown }): never {
    throw new DeadLetterTask(reason, options);
  }

  /**
   * Of a task in a batch: this task has failed, as if a handler had thrown `error` for it alone. The run goes on. The task is settled when
   * the run has ended: tried again, or a dead letter (`DeadLetterTask`), or put off (`SnoozeTask`), by the same rules as everywhere. Only
   * the first call counts.
   *
   * @throws SluiceError `SLUICE_TASK_NOT_IN_BATCH` in a handler without `batch`, which throws the error instead
   * @example
   * for (const task of tasks) if (!task.payload.title) task.fail(new DeadLetterTask('no title'));
   */
  fail(error: unknown): void {
    throw new SluiceError(
      'SLUICE_TASK_NOT_IN_BATCH',
      `task.fail of task ${this.id}: it is in no batch. Throw the error, or give @TaskHandler a batch; in a unit test, use new BatchTask`,
      { cause: error },
    );
  }
}

/** The same task with another payload. */
export function withPayload<T>(task: Task, payload: T): Task<T> {
  return new Task({ ...partsOf(task), payload });
}

/** The same task with its name. */
export function withName(task: Task, name: string): Task {
  return new Task({ ...partsOf(task), name });
}

/** The parts of a task, for another task of the same entry. */
export function partsOf(task: Task): TaskParts<unknown> {
  const { id, stream, name, attempt, deliveries, publishedAt, trace, payload } = task;
  return {
    id,
    stream,
    ...(name !== undefined && { name }),
    attempt,
    deliveries,
    publishedAt,
    trace,
    payload,
    signal: task,
  };
}

function isRun(signal: object | undefined): signal is TaskRun {
  return signal !== undefined && 'notes' in signal;
}

/** The run of a task that was made by hand. There are no slots. */
class RunByHand implements TaskRun {
  readonly #queue: string;
  readonly #given: TaskParts<unknown>['signal'];
  #notes: TaskNotes | undefined;

  constructor(queue: string, given: TaskParts<unknown>['signal']) {
    this.#queue = queue;
    this.#given = given;
  }

  get signal(): AbortSignal {
    if (this.#given === undefined) return new AbortController().signal;
    return 'signal' in this.#given ? this.#given.signal : this.#given;
  }

  report(value: unknown): void {
    if (this.#given !== undefined && 'report' in this.#given) this.#given.report(value);
  }

  get notes(): TaskNotes {
    return (this.#notes ??= new TaskNotes({ queue: this.#queue, maxPayloadBytes: Infinity }));
  }
}
