import { unframe } from '../../redis/index.js';
import { badOption, checkText, countIn, instantIn } from '../../weave/index.js';
import { Delivery } from '../task/delivery.js';
import type { Priority } from '../store/levels.js';
import type { ListedDelayed } from '../store/scripts/list-delayed.script.js';
import type { ListedEntry } from '../store/scripts/list-stream.script.js';
import { fieldsOf } from '../store/stream-reply.js';

/** The state of a task: it waits in the queue, is with a worker (prefetched or running), is due later, or is a dead letter. */
export type TaskState = 'waiting' | 'running' | 'delayed' | 'dead';

/** A task as an operator sees it. */
export interface TaskInfo<T = unknown> {
  /** The id that `publish` returned. */
  readonly id: string;
  /** In what concerns a whole queue of named tasks: the task's name. Absent in what concerns one queue. */
  readonly name?: string;
  /** Of a queue with levels of priority: the task's level. Absent otherwise. */
  readonly priority?: Priority;
  readonly state: TaskState;
  /** The payload; its text, if that is not JSON. */
  readonly payload: T;
  /** The number of the run that comes next or is under way: 1, and one more per failed run. Of a dead letter: the last run. */
  readonly attempt: number;
  readonly publishedAt: Date;
  /** The id of the task's entry, in the queue's stream or in that of the dead letters. redis-cli finds the entry by this id. */
  readonly entryId?: string;
  /** While the task is delayed: when it is due. */
  readonly dueAt?: Date;
  /** While the task is running: the worker that has it. */
  readonly worker?: string;
  /** While the task is running: for how many milliseconds. */
  readonly runningMs?: number;
  /** While the task is running: how often this attempt was given to a worker. */
  readonly deliveries?: number;
  /** What the handler reported last with `task.progress`. Only `inspect` tells it, and only of a task that is there. */
  readonly progress?: unknown;
  /** Of a dead letter: why, as one word; then the last error and its stack. */
  readonly reason?: string;
  readonly error?: string;
  readonly stack?: string;
  readonly failedAt?: Date;
}

/** A task that Sluice will not run again by itself. */
export interface DeadLetter<T = unknown> extends TaskInfo<T> {
  readonly state: 'dead';
  readonly entryId: string;
  readonly reason: string;
  readonly error: string;
  readonly stack: string;
  /** The consumer group whose attempts were used up. */
  readonly group: string;
  readonly deliveries: number;
  readonly failedAt: Date;
}

/** Addresses a task that was published under a key: the one that was last published under it. */
export interface TaskKey {
  /** A text of at most 1,024 bytes. It is for one queue: of named tasks, for one name. */
  readonly key: string;
}

/** A task's id, or the key under which it was published. */
export type TaskRef = string | TaskKey;

/** @throws SluiceError `SLUICE_BAD_OPTION`, which names the operation, if it is neither an id nor a key */
export function checkTaskRef(task: unknown, operation: string): TaskRef {
  if (typeof task !== 'object' || task === null || !('key' in task)) return checkTaskId(task, operation);
  return { key: checkText(task.key, `${operation}: key`) };
}

function checkTaskId(id: unknown, operation: string): string {
  if (typeof id === 'string') return id;
  throw badOption(`${operation}: id`, 'the id that publish returned', id);
}

/** A task in its stream. */
export function entryInfo(queue: string, { id, fields, pending }: ListedEntry): TaskInfo {
  const info = common(queue, id, fields);
  if (pending === undefined) return { ...info, state: 'waiting', entryId: id };
  const { consumer: worker, idleMs: runningMs, deliveries } = pending;
  return { ...info, state: 'running', entryId: id, worker, runningMs, deliveries };
}

/** A task that is due later. */
export function delayedInfo(queue: string, { handle, dueMs, body }: ListedDelayed): TaskInfo {
  const [payload = '', timestamp = '', retry_count = '', meta = '', ...others] = unframe(body) ?? [];
  const fields = Object.entries({ payload, timestamp, retry_count, meta }).flat();
  return { ...common(queue, handle, [...fields, ...others]), state: 'delayed', dueAt: new Date(instantIn(dueMs)) };
}

/** A dead letter. */
export function letterInfo(queue: string, { id, fields }: ListedEntry): DeadLetter {
  const named = fieldsOf(fields);
  const info = common(queue, named['original_id'] ?? id, fields);
  return {
    ...info,
    id: named['original_id'] ?? info.id,
    state: 'dead',
    entryId: id,
    attempt: Math.max(1, countIn(named['attempts'], info.attempt - 1)),
    reason: named['reason'] ?? '',
    error: named['error'] ?? '',
    stack: named['stack'] ?? '',
    group: named['group'] ?? '',
    deliveries: countIn(named['deliveries'], 0),
    failedAt: new Date(instantIn(countIn(named['failed_at'], 0) * 1_000)),
  };
}

/** The parts of an entry that a worker reads. The same code parses them. */
function common(queue: string, id: string, fields: readonly string[]): Omit<TaskInfo, 'state'> {
  const { taskId, task, retryCount } = new Delivery(queue, { id, fields, deliveries: 1 }, 0);
  const { payload, timestamp } = fieldsOf(fields);
  return {
    id: taskId,
    payload: task ? task.payload : payload,
    attempt: retryCount + 1,
    publishedAt: task?.publishedAt ?? new Date(instantIn(countIn(timestamp, 0) * 1_000)),
  };
}
