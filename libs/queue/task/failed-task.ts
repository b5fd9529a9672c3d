/** The payload of the task that `deadLetterTo` publishes when a task becomes a dead letter. */
export interface FailedTask<T = unknown> {
  /** The name of the queue in which the task failed. */
  readonly queue: string;
  /** The task's id: `queue.inspect(failed.queue, failed.id)` shows the dead letter. */
  readonly id: string;
  /** The task's payload; its text, if that is not JSON, or lies as deep as a payload may. */
  readonly payload: T;
  /** Why, as one word: `'max-attempts'`, `'max-deliveries'`, `'bad-payload'`, or what the handler said. */
  readonly reason: string;
  /** The last error, as text. */
  readonly error: string;
  /** How many runs have failed. */
  readonly attempts: number;
  /** The consumer group that gave the task up. */
  readonly group: string;
}
