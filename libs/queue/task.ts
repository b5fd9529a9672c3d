import { DeadLetterTask } from './control-flow.js';
import type { TraceContext } from './propagation.js';

/** What a {@link Task} is made of; only `payload` has no default. */
export interface TaskParts<T> {
  payload: T;
  id?: string;
  stream?: string;
  attempt?: number;
  deliveries?: number;
  publishedAt?: Date;
  trace?: TraceContext;
  /** A signal, or how to make it when it is first asked for. */
  signal?: AbortSignal | (() => AbortSignal);
}

/**
 * One unit of work, as its handler gets it. Delivered **at least once**: make handlers idempotent, by `id`.
 *
 * @example
 * // in a unit test of a handler
 * await shop.process(new Task({ payload: order }));
 */
export class Task<T = unknown> {
  /** The id that `publish` returned; the same through retries and redeliveries. */
  readonly id: string;
  readonly payload: T;
  /** The name of the queue. */
  readonly stream: string;
  /** Which run this is by the handler's own failures, from 1: one more after each run that threw. */
  readonly attempt: number;
  /** How often this attempt was handed to a worker, from 1. Above 1, a worker died (or was presumed dead) with it. */
  readonly deliveries: number;
  /** When it was first published, to the second, on the publisher's clock. */
  readonly publishedAt: Date;
  /** The W3C trace context that came with it: `task.trace.traceparent`. Empty if none did. */
  readonly trace: TraceContext;
  readonly #signal: AbortSignal | (() => AbortSignal);

  constructor(parts: TaskParts<T>) {
    this.id = parts.id ?? '0-1';
    this.payload = parts.payload;
    this.stream = parts.stream ?? 'tasks';
    this.attempt = parts.attempt ?? 1;
    this.deliveries = parts.deliveries ?? 1;
    this.publishedAt = parts.publishedAt ?? new Date();
    this.trace = parts.trace ?? NO_TRACE;
    this.#signal = parts.signal ?? neverAborted;
  }

  /**
   * Aborts when the handler's `timeoutMs` are over (its reason is a `TaskTimeoutError`), or when the app shuts down and
   * its `drainMs` are over: the task is then given to another process.
   */
  get signal(): AbortSignal {
    return typeof this.#signal === 'function' ? this.#signal() : this.#signal;
  }

  /**
   * Gives the task up: it becomes a dead letter with this reason at once, whatever attempts are left.
   *
   * @throws DeadLetterTask always; let it pass
   */
  deadLetter(reason: string, options?: { cause?: unknown }): never {
    throw new DeadLetterTask(reason, options);
  }
}

/** The same task with another payload. */
export function withPayload<T>(task: Task, payload: T): Task<T> {
  const { id, stream, attempt, deliveries, publishedAt, trace } = task;
  return new Task({ id, stream, attempt, deliveries, publishedAt, trace, payload, signal: () => task.signal });
}

const NO_TRACE: TraceContext = Object.freeze({});
const neverAborted = (): AbortSignal => new AbortController().signal;
