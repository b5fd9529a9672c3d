import {
  DEPTH_MAX,
  NAME_MAX_BYTES,
  instantIn,
  isDeeperThan,
  isLongerThan,
  isSluiceError,
  isWellFormed,
} from '../../weave/index.js';
import { backoff, resolveBackoff, type ResolvedBackoff } from './backoff.js';
import { parseReply, replyText, type Reply } from './reply.js';
import { NO_TRACE, traceOf } from './trace-context.js';
import { TaskNotes, type NotingContext } from '../notes/task-notes.js';
import { Task } from './task.js';
import { KEY_FIELD } from '../store/scripts/gates.fragment.js';
import type { Entry } from '../store/stream-reply.js';

/** A run whose handler threw. */
export interface FailedRun {
  readonly thrown: unknown;
  /** Runs that failed before this one. */
  readonly retryCount: number;
  /** The `maxAttempts` of this task's publish; undefined: the handler's `maxAttempts` applies. */
  readonly maxAttempts: number | undefined;
  /** How often this attempt was deferred because of a backend. */
  readonly defers: number;
  /** When this attempt was deferred for the first time, on the wall clock; undefined: it was never deferred. */
  readonly deferredMs: number | undefined;
  /** The `backoff` of the task's publish; undefined: the handler's applies. */
  readonly backoff?: ResolvedBackoff | undefined;
}

/** Why an entry cannot become a task. The other entries of its batch are not affected. */
export interface Unreadable {
  readonly reason: 'no-payload' | 'bad-payload';
  readonly message: string;
}

/** Takes what a handler reports with `task.progress`. */
export interface ProgressSink {
  report(delivery: Delivery, value: unknown): void;
}

/**
 * One entry that is pending with this process, from its delivery until Redis has confirmed its settlement.
 *
 * Fields may come in any order, with others between them; `timestamp`, `retry_count` and `meta` may be missing or odd.
 */
export class Delivery {
  readonly id: string;
  /** How often the entry was delivered, this time included. A settlement names this number, so that a late one is refused. */
  deliveries: number;
  /** Runs that failed before this one. */
  readonly retryCount: number;
  readonly task: Task | undefined;
  readonly unreadable: Unreadable | undefined;
  /** Whether the handler was called. */
  started = false;
  /** Until when the run may begin, on the monotonic clock; undefined: at any time. */
  startByMs: number | undefined;
  /** While the handler runs: where its progress goes. */
  sink: ProgressSink | undefined;
  /** How the run has ended. */
  endedAs: 'completed' | 'dropped' | 'failed' | undefined;
  /** While somebody listens to events, or the queue has a history: when the run began, on the monotonic clock, and how long it took. */
  begunMs: number | undefined;
  ranMs: number | undefined;
  /** For the history of the queue: the result as JSON, or the error of a task that its handler dropped. */
  said: string | undefined;
  /** The task's ordering key; '': it has none. */
  readonly orderingKey: string;
  /** The length of the payload, in characters. */
  readonly chars: number;
  readonly #meta: Record<string, unknown>;
  readonly #noting: NotingContext | undefined;
  #controller: AbortController | undefined;
  #notes: TaskNotes | undefined;
  #hasRun = false;

  /**
   * @param takenMs when this process received the entry, on its monotonic clock
   * @param noting for the checks of what its handler notes
   */
  constructor(
    stream: string,
    { id, fields, deliveries }: Entry,
    readonly takenMs: number,
    noting?: NotingContext,
  ) {
    this.#noting = noting;
    this.id = id;
    this.deliveries = deliveries;
    let payload: string | undefined;
    let timestamp = '';
    let retryCount = '';
    let meta = '';
    let orderingKey = '';
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const value = fields[i + 1] ?? '';
      switch (fields[i]) {
        case 'payload':
          payload = value;
          break;
        case 'timestamp':
          timestamp = value;
          break;
        case 'retry_count':
          retryCount = value;
          break;
        case 'meta':
          meta = value;
          break;
        case KEY_FIELD:
          orderingKey = value;
          break;
      }
    }
    this.orderingKey = orderingKey;
    this.chars = payload?.length ?? 0;
    this.retryCount = wholeNumber(retryCount) ?? 0;
    this.#meta = meta === '' ? NO_META : parseMeta(meta);
    if (payload === undefined) {
      this.unreadable = { reason: 'no-payload', message: "the entry has no field 'payload'" };
      return;
    }
    if (isDeeperThan(payload, DEPTH_MAX)) {
      this.unreadable = { reason: 'bad-payload', message: `the payload lies more than ${DEPTH_MAX} levels deep` };
      return;
    }
    try {
      this.task = new Task({
        id: this.taskId,
        payload: JSON.parse(payload) as unknown,
        stream,
        attempt: this.retryCount + 1,
        deliveries,
        publishedAt: publishedMs(timestamp, this.taskId, id),
        trace: this.#meta === NO_META ? NO_TRACE : traceOf(this.#meta),
        signal: this,
      });
    } catch (error) {
      this.unreadable = { reason: 'bad-payload', message: `the payload is not JSON: ${(error as Error).message}` };
    }
  }

  /** The id that `publish` returned: the id in `meta` if there is one (as after a retry), else the entry's own id. */
  get taskId(): string {
    const { id } = this.#meta;
    return isTaskId(id) ? id : this.id;
  }

  /** The digest of the key under which the task was published; undefined: there is none. */
  get key(): string | undefined {
    if (this.#meta === NO_META) return undefined;
    const { key } = this.#meta;
    return typeof key === 'string' && /^[\w-]{22}$/.test(key) ? key : undefined;
  }

  /** Names the join that the task is a member of, and the member; undefined: it is none. The script checks what it says. */
  get join(): string | undefined {
    if (this.#meta === NO_META) return undefined;
    const { join } = this.#meta;
    return typeof join === 'string' && /^[\w-]{1,40}\/\d{1,15}$/.test(join) ? join : undefined;
  }

  /** Who waits for the result; undefined, as for most tasks: nobody does. */
  get reply(): Reply | undefined {
    return this.#meta === NO_META ? undefined : parseReply(this.#meta['reply']);
  }

  /** Whether publishers wait for the end of the task, or may have joined it by its key. */
  get mayBeAwaited(): boolean {
    return this.#meta !== NO_META && (this.reply !== undefined || this.key !== undefined);
  }

  /** What the scripts have to know of who waits: the reply and the key; '': nobody does. */
  get waitersMeta(): string {
    const { reply, key } = this;
    if (reply === undefined && key === undefined) return '';
    return JSON.stringify({ reply: reply && replyText(reply), key });
  }

  /** Whether the run has ended so that the task is done. */
  get isDone(): boolean {
    return this.endedAs === 'completed' || this.endedAs === 'dropped';
  }

  /** The handler reports its progress. After the run has ended, nobody gets it. */
  report(value: unknown): void {
    this.sink?.report(this, value);
  }

  /** The `meta` of the task's next entry: the fields of this one, the task's id, and the deferrals. */
  nextMeta(deferral?: { defers: number; deferredMs: number }): string {
    // JSON.stringify leaves out fields that are undefined.
    const { defers, deferredMs } = deferral ?? {};
    return JSON.stringify({ ...this.#meta, id: this.taskId, defers, deferredMs });
  }

  /** Describes this run, whose handler threw `thrown`. */
  failedWith(thrown: unknown): FailedRun {
    const { maxAttempts, defers, deferredMs, backoff: sent } = this.#meta;
    return {
      thrown,
      retryCount: this.retryCount,
      maxAttempts: count(maxAttempts),
      defers: count(defers) ?? 0,
      deferredMs: count(deferredMs),
      backoff: sent === undefined ? undefined : sentBackoff(sent),
    };
  }

  /** Whether the run was aborted because the task is cancelled. */
  get isCancelled(): boolean {
    return isSluiceError(this.#controller?.signal.reason, 'SLUICE_TASK_CANCELLED');
  }

  abort(reason: unknown): void {
    (this.#controller ??= new AbortController()).abort(reason);
  }

  /** What the handler notes for the acknowledgement. Created with the first note. */
  get notes(): TaskNotes {
    const { stream = '' } = this.task ?? {};
    return (this.#notes ??= new TaskNotes(this.#noting ?? { queue: stream, maxPayloadBytes: Infinity }, this.#hasRun));
  }

  /** What the handler has noted; undefined, as for most tasks: nothing. */
  get noted(): TaskNotes | undefined {
    return this.#notes === undefined || this.#notes.isEmpty ? undefined : this.#notes;
  }

  /** The run has ended: nothing more is noted. */
  endRun(): void {
    this.#hasRun = true;
    this.#notes?.close();
  }

  /** Created when it is first read: few handlers read the signal, and creating one is not cheap. */
  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }
}

const NO_META: Record<string, unknown> = {};

/** Applies the same rule as `idIn` in the scripts. The id becomes part of a key, and is written to log lines. */
function isTaskId(id: unknown): id is string {
  return typeof id === 'string' && id !== '' && !isLongerThan(id, NAME_MAX_BYTES) && isWellFormed(id);
}

/** An entry's `meta` as an object; an empty object if other software wrote something else there. */
export function parseMeta(text: string): Record<string, unknown> {
  // The next entry contains this `meta` again, and JSON.stringify overflows the stack at a much lower depth than JSON.parse.
  if (isDeeperThan(text, DEPTH_MAX)) return NO_META;
  try {
    const meta: unknown = JSON.parse(text);
    return typeof meta === 'object' && meta !== null && !Array.isArray(meta) ? { ...meta } : NO_META;
  } catch {
    // Other software may keep anything in `meta`.
    return NO_META;
  }
}

/** The `backoff` of a publish. Other software may keep anything in `meta`: what is none is as if it were not there. */
function sentBackoff(value: unknown): ResolvedBackoff | undefined {
  try {
    return resolveBackoff(backoff(value, 'backoff'));
  } catch {
    return undefined;
  }
}

/** When the task was published. An entry's id begins with the server's milliseconds; a task's id may have any form. */
function publishedMs(timestamp: string, taskId: string, entryId: string): number {
  const seconds = wholeNumber(timestamp);
  const ms = seconds === undefined ? parseInt(taskId, 10) : seconds * 1_000;
  return instantIn(ms) || instantIn(parseInt(entryId, 10));
}

/** Other software may keep anything in `meta`. */
function count(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : undefined;
}

function wholeNumber(text: string): number | undefined {
  if (text === '0') return 0;
  const value = /^\d+$/.test(text) ? Number(text) : undefined;
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}
