/** What every event of a task says. */
export interface QueueEventOfTask {
  /** The queue: the name of its stream. */
  readonly queue: string;
  /** Of a queue with named tasks: the task's name. */
  readonly name?: string;
  /** The group whose run it is. With several groups on a queue, each of them tells its own. */
  readonly group: string;
  /** The id that `publish` returned. */
  readonly id: string;
  /** The process that tells it. */
  readonly process: string;
  /** When it happened, on the clock of that process. */
  readonly at: Date;
}

/**
 * Something that happened in a queue, in whichever process. Each event comes at most once. Those of one run come in order; the next run of a
 * task may begin before it is told that the first one is settled. `type` tells which one:
 *
 * - `started`: the handler is about to be called. With `deliveries` above 1, the process that had the task died, or is taken for dead.
 * - `progress`: the newest `value` of `task.progress`.
 * - `completed`: the handler has returned, and Redis has confirmed that the task is done. The run took `ranMs`.
 * - `retried`: the run has failed, or the task was put off. It runs again in `delayMs`.
 * - `dead`: the task became a dead letter. `reason` tells why, as one word; `error` is at most 1,000 characters long.
 * - `dropped`: the handler has thrown `DropTask`.
 * - `cancelled`: a task that a worker had was cancelled.
 * - `gap`: events may be missing here: the connection was lost, or a process could not send at least `missed` events.
 */
export type QueueEvent =
  | (QueueEventOfTask & { readonly type: 'started'; readonly attempt: number; readonly deliveries: number })
  | (QueueEventOfTask & { readonly type: 'progress'; readonly value: unknown })
  | (QueueEventOfTask & { readonly type: 'completed'; readonly attempt: number; readonly ranMs: number })
  | (QueueEventOfTask & {
      readonly type: 'retried';
      readonly attempt: number;
      readonly delayMs: number;
      readonly error: string;
    })
  | (QueueEventOfTask & { readonly type: 'dead'; readonly reason: string; readonly error: string })
  | (QueueEventOfTask & { readonly type: 'dropped' | 'cancelled' })
  | { readonly type: 'gap'; readonly queue: string; readonly at: Date; readonly missed?: number };

/** An event as it is sent: what is the same for all events of a process is sent once per message. */
export interface SentEvent {
  readonly type: Exclude<QueueEvent['type'], 'gap'>;
  readonly id: string;
  /** On the wall clock of the process. */
  readonly at: number;
}

/** One message with events of one process and group. */
export interface EventsMessage {
  readonly about: { readonly queue: string; readonly name?: string; readonly group: string; readonly process: string };
  /** Events that came before these and could not be sent. */
  readonly missed: number;
  readonly events: readonly SentEvent[];
}

/** The kind of these messages. */
export const EVENTS_KIND = 'queue:events';

/** The events of a message; none of what is no such message, as of other software. */
export function eventsIn(queue: string, text: string): QueueEvent[] {
  const { about, missed, events } = JSON.parse(text) as EventsMessage;
  const told = events.map((event) => ({ ...about, ...event, at: new Date(event.at) }) as QueueEvent);
  return missed > 0 ? [{ type: 'gap', queue, at: new Date(events[0]?.at ?? 0), missed }, ...told] : told;
}
