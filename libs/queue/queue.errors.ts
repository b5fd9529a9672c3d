import { SluiceError, clip } from '../weave/index.js';

/**
 * The publish was interrupted: a task may have been published, or not. No task was sent twice.
 *
 * Publishing the task again is safe if the handler can recognise the second task by its payload (an order's number; not
 * `task.id`, which differs). A handler that may run twice must be able to do this anyway. `cause` is the error of the connection.
 */
export class PublishUnconfirmedError extends SluiceError {
  /**
   * Of a publish under a key: its nonce. A repeat with it within ten minutes never makes a second task:
   * `publishUnique(queue, payload, { key, nonce: error.nonce })`. Undefined for other publishes.
   */
  readonly nonce: string | undefined;

  constructor(
    readonly queue: string,
    /** For each payload, in order: the id if the task is certainly published, or `'unknown'`, or `'not-sent'`. */
    readonly outcomes: readonly PublishOutcome[],
    options: { cause: unknown; nonce?: string },
  ) {
    const count = (state: string): number => outcomes.filter((outcome) => outcome.state === state).length;
    super(
      'SLUICE_PUBLISH_UNCONFIRMED',
      outcomes.length === 1
        ? `the task may have been published to queue '${queue}', or not: the connection was lost before the answer`
        : `of ${outcomes.length} tasks for queue '${queue}', ${count('published')} are published, ${count('unknown')} may ` +
            `be, and ${count('not-sent')} are not: publish those again by 'outcomes'`,
      { cause: options.cause },
    );
    this.nonce = options.nonce;
  }
}

/** The outcome for one payload of an interrupted publish. */
export type PublishOutcome =
  { readonly state: 'published'; readonly id: string } | { readonly state: 'unknown' | 'not-sent' };

/** One thing that is wrong with a payload. */
export interface PayloadIssue {
  /** `payload.items[3].price` */
  readonly path: string;
  readonly message: string;
}

/**
 * A payload that the queue's schema refuses: when it is published (`SLUICE_QUEUE_INVALID_PAYLOAD`: nothing was published), or
 * when it is handled (`SLUICE_TASK_BAD_PAYLOAD`: the task is a dead letter, `bad-payload`, and its handler did not run).
 */
export class InvalidPayloadError extends SluiceError {
  constructor(
    readonly queue: string,
    /** The first hundred issues. */
    readonly issues: readonly PayloadIssue[],
    at: 'publish' | 'handle',
  ) {
    const what = [
      ...issues.slice(0, ISSUES_SHOWN).map(({ path, message }) => `${path}: ${message}`),
      ...(issues.length > ISSUES_SHOWN ? ['and so on'] : []),
    ].join('; ');
    super(
      at === 'publish' ? 'SLUICE_QUEUE_INVALID_PAYLOAD' : 'SLUICE_TASK_BAD_PAYLOAD',
      `the schema of queue '${queue}' refuses the payload: ${what}${at === 'publish' ? '; nothing was published' : ''}`,
    );
  }
}

/** How many issues the message has. */
const ISSUES_SHOWN = 10;

/** A payload larger than `queue.maxPayloadBytes`. */
export class PayloadTooLargeError extends SluiceError {
  constructor(
    readonly path: string,
    /** The JSON text has at least this many bytes: counting ends when the limit is certainly exceeded. */
    readonly bytes: number,
    readonly maxBytes: number,
  ) {
    super(
      'SLUICE_QUEUE_PAYLOAD_TOO_LARGE',
      `${path} is at least ${bytes} bytes as JSON, more than queue.maxPayloadBytes (${maxBytes}); nothing was published. Store it ` +
        'elsewhere and publish its key, or raise the limit',
    );
  }
}

/** The reason with which `task.signal` aborted a run after `timeoutMs`, and the error of a run that ignored the signal. */
export class TaskTimeoutError extends SluiceError {
  constructor(
    readonly taskId: string,
    readonly timeoutMs: number,
  ) {
    super('SLUICE_TASK_TIMEOUT', `task ${taskId} ran longer than its timeoutMs (${timeoutMs} ms)`);
  }
}

/**
 * The reason with which `task.signal` aborts a run whose task was cancelled by `queue.cancel`. If the handler then throws anything, the
 * task is dropped: it is not tried again, and is no dead letter. If it returns, the task is completed.
 */
export class TaskCancelledError extends SluiceError {
  constructor(readonly taskId: string) {
    super('SLUICE_TASK_CANCELLED', `task ${taskId} was cancelled`);
  }
}

/** A payload that JSON would change. `path` names the part: `payload.items[3].price`. */
export class UnserializablePayloadError extends SluiceError {
  constructor(
    readonly path: string,
    /** What is wrong with it. */
    readonly what: string,
  ) {
    super('SLUICE_QUEUE_UNSERIALIZABLE', `${clip(path)} ${what}; nothing was published`);
  }
}

/** A publish for which the queue has no room, by its `maxLength`. Nothing was published. */
export class QueueFullError extends SluiceError {
  constructor(
    readonly queue: string,
    /** The `maxLength.limit`. */
    readonly limit: number,
    /** How many tasks the queue had. */
    readonly length: number,
    what = '',
  ) {
    super(
      'SLUICE_QUEUE_FULL',
      `queue '${queue}' has ${length} tasks, of at most ${limit}${what}; nothing was published`,
    );
  }
}

/**
 * Redis refused what a handler noted by `task.onAck` or `task.next`. Nothing was written or published, and the attempt has failed.
 */
export class TaskAckRefusedError extends SluiceError {
  constructor(
    readonly queue: string,
    readonly taskId: string,
    /** Why, with the key. */
    readonly what: string,
    options?: { cause: unknown },
  ) {
    super(
      'SLUICE_TASK_ACK_REFUSED',
      `task ${taskId} of queue '${queue}' was not acknowledged, because of what its handler noted: ${what}; nothing was written or published`,
      options,
    );
  }
}

/** How a task has ended that has no result: it is a dead letter, its handler threw `DropTask`, or it was cancelled. */
export type FailedHow = 'dead' | 'dropped' | 'cancelled';

/** The parts of a {@link TaskFailedError}. */
export interface TaskFailedParts {
  readonly queue: string;
  readonly taskId: string;
  readonly how: FailedHow;
  readonly reason: string;
  readonly error: string;
  readonly attempts: number;
}

/** The task for whose result `publishAndWait` waited has ended without one. */
export class TaskFailedError extends SluiceError {
  readonly queue: string;
  readonly taskId: string;
  /** `'dead'`: the task is a dead letter, `'dropped'`: its handler threw `DropTask`, `'cancelled'`: by `queue.cancel`. */
  readonly how: FailedHow;
  /** Of a dead letter: why, as one word, such as `'max-attempts'`, or what the handler said. Else the same as `how`. */
  readonly reason: string;
  /** The last error of the handler, as text of at most 1 KB. May be empty. */
  readonly error: string;
  /** How many runs have failed. */
  readonly attempts: number;

  constructor({ queue, taskId, how, reason, error, attempts }: TaskFailedParts) {
    const what = how === 'dead' ? `is a dead letter (${clip(reason)})` : `was ${how}`;
    super('SLUICE_TASK_FAILED', `task ${taskId} of queue '${queue}' ${what}${error === '' ? '' : `: ${error}`}`);
    this.queue = queue;
    this.taskId = taskId;
    this.how = how;
    this.reason = reason;
    this.error = error;
    this.attempts = attempts;
  }
}

/** The task for whose result `publishAndWait` waited has not ended in time. It goes on: nothing was taken back. */
export class TaskWaitTimeoutError extends SluiceError {
  constructor(
    readonly queue: string,
    readonly taskId: string,
    readonly timeoutMs: number,
  ) {
    super(
      'SLUICE_TASK_WAIT_TIMEOUT',
      `nothing was heard of the end of task ${taskId} of queue '${queue}' within ${timeoutMs} ms; the task goes on. ` +
        'queue.inspect tells where it is, queue.cancel ends it',
    );
  }
}

/** The task for whose result `publishAndWait` waited is done, but its result cannot be used. The task does not run again. */
export class TaskResultError extends SluiceError {
  constructor(
    readonly queue: string,
    readonly taskId: string,
    what: string,
    /** If the queue's `result` schema refuses the result: the first hundred issues. */
    readonly issues: readonly PayloadIssue[] = [],
  ) {
    super(
      'SLUICE_TASK_BAD_RESULT',
      `task ${taskId} of queue '${queue}' is done, but its result cannot be used: ${what}`,
    );
  }
}
