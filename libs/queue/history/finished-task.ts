import { countIn, instantIn } from '../../weave/index.js';
import { LEVELS, type Priority } from '../store/levels.js';
import { RECORDED_MAX_BYTES } from '../store/scripts/history.fragment.js';
import { fieldsOf } from '../store/stream-reply.js';
import { Delivery } from '../task/delivery.js';

/** How a task has ended: its handler returned or dropped it, or it became a dead letter. */
export type FinishedState = 'completed' | 'failed';

/** A task that has ended, as the history of its queue shows it. */
export interface FinishedTask<T = unknown> {
  /** The id that `publish` returned. */
  readonly id: string;
  /** In what concerns a whole queue of named tasks: the task's name. Absent in what concerns one queue. */
  readonly name?: string;
  /** Of a queue with levels of priority: the task's level. Absent otherwise. */
  readonly priority?: Priority;
  readonly state: FinishedState;
  /** The payload as it was published; its text, if that is not JSON. Undefined: it is larger than 8 192 bytes, and was not recorded. */
  readonly payload: T | undefined;
  /** The size of the payload. 0 if other software deleted the entry meanwhile. */
  readonly payloadBytes: number;
  /** The ordering key, if the task was published with one. */
  readonly orderingKey?: string;
  /** How many runs were counted: for a completed task the last one included. */
  readonly attempts: number;
  /** How often the last attempt was given to a worker. */
  readonly deliveries: number;
  /** The consumer group for which it has ended. */
  readonly group: string;
  /** The consumer that had it last: the process, as in `TaskInfo.worker`. */
  readonly worker: string;
  readonly publishedAt: Date;
  /** When its last run began, on the clock of Redis. Absent if it did not run, or its process died with it. */
  readonly startedAt?: Date;
  /** When it was settled, on the clock of Redis. */
  readonly finishedAt: Date;
  /** How long the last run took, in milliseconds. Absent as `startedAt`. */
  readonly ranMs?: number;
  /** What the handler returned. Absent if it returned nothing, no JSON, or more than 8 192 bytes. */
  readonly result?: unknown;
  /** Of a failed task: why it is a dead letter, as there. Of a completed one: `'dropped'`, if its handler threw `DropTask`. */
  readonly reason?: string;
  /** Of a failed or dropped task: what was thrown, as text. */
  readonly error?: string;
}

/** Reads a record. */
export function finishedTask(
  queue: string,
  state: FinishedState,
  entryId: string,
  flat: readonly string[],
): FinishedTask {
  const { id = '', payload: text = '', timestamp = '', how = '', text: said = '', ...named } = fieldsOf(flat);
  const payloadBytes = countIn(named['payload_bytes'], 0);
  const deliveries = countIn(named['deliveries'], 0);
  const fields = ['payload', text, 'timestamp', timestamp];
  const { task } = new Delivery(queue, { id, fields, deliveries }, 0);
  const finishedMs = instantIn(parseInt(entryId, 10));
  const agoMs = countIn(named['ago_ms'], -1);
  const isKept = payloadBytes > 0 && payloadBytes <= RECORDED_MAX_BYTES;
  const level = LEVELS.find((each) => each === named['level']);
  return {
    ...{ id, state, ...(level && { priority: level }) },
    ...{ payload: isKept ? (task ? task.payload : text) : undefined, payloadBytes },
    ...(named['ordering_key'] && { orderingKey: named['ordering_key'] }),
    ...{
      attempts: countIn(named['attempts'], 0),
      deliveries,
      group: named['group'] ?? '',
      worker: named['worker'] ?? '',
    },
    publishedAt: task?.publishedAt ?? new Date(instantIn(countIn(timestamp, 0) * 1_000)),
    ...(agoMs >= 0 && { startedAt: new Date(instantIn(finishedMs - agoMs)) }),
    finishedAt: new Date(finishedMs),
    ...(agoMs >= 0 && { ranMs: countIn(named['ran_ms'], 0) }),
    ...(how === 'completed' ? resultIn(said) : { reason: how, error: said }),
  };
}

function resultIn(text: string): { result?: unknown } {
  try {
    return text === '' ? {} : { result: JSON.parse(text) as unknown };
  } catch {
    // Other software has written it.
    return {};
  }
}
