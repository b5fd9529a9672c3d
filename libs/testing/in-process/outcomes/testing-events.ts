import { Subject, merge, type Observable } from 'rxjs';
import type { QueueEvent } from '../../../queue/index.js';
import { PROGRESS_MAX_BYTES } from '../../../queue/events/progress-reporter.js';
import { encodePayload } from '../../../queue/task/payload.js';
import { Task } from '../../../queue/task/task.js';
import type { Clock } from '../../../redis/index.js';
import type { TaskNotes } from '../../../queue/notes/task-notes.js';

interface About {
  readonly queue: string;
  readonly id: string;
  readonly group: string | undefined;
}
interface RunningTask extends About {
  readonly payload: unknown;
  readonly attempt: number;
}
/** What an event says beside the task that it is about. */
type Told = Pick<QueueEvent, 'type'> & Record<string, unknown>;

/** The events of a test's queues, and what its handlers report. The process of each event is `test`. */
export class TestingEvents {
  /** Called with the progress of a task. */
  onProgress: (task: About, value: unknown) => void = () => {};
  readonly #clock: Clock;
  readonly #subjects = new Map<string, Subject<QueueEvent>>();
  readonly #progress = new Map<string, unknown>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(queues: readonly string[]): Observable<QueueEvent> {
    return merge(...queues.map((queue) => this.#subject(queue).asObservable()));
  }

  tell({ queue, id, group = '' }: About, event: Told): void {
    const at = new Date(this.#clock.wallMs());
    const name = /^\{[^{}]+\}\.(.+)$/s.exec(queue)?.[1];
    const about = { queue, ...(name !== undefined && { name }), group, process: 'test', id, at };
    this.#subjects.get(queue)?.next({ ...about, ...event } as QueueEvent);
  }

  /** The task as its handler gets it. Each run gets a payload of its own, as it would from Redis. */
  taskOf(waiting: RunningTask, signal: AbortSignal, notes: TaskNotes): Task {
    const { id, payload, queue, attempt } = waiting;
    this.tell(waiting, { type: 'started', attempt, deliveries: 1 });
    const host = {
      ...{ signal, notes },
      report: (value: unknown): void => {
        this.#report(waiting, value);
      },
    };
    return new Task({ id, payload: structuredClone(payload), stream: queue, attempt, signal: host });
  }

  /** What a task that has not ended reported last; undefined: nothing. */
  progressOf(queue: string, id: string): unknown {
    return this.#progress.get(`${queue} ${id}`);
  }

  /** The task is done. */
  done(task: RunningTask): void {
    this.#progress.delete(`${task.queue} ${task.id}`);
    this.tell(task, { type: 'completed', attempt: task.attempt, ranMs: 0 });
  }

  /** The app has stopped. */
  close(): void {
    for (const subject of this.#subjects.values()) subject.complete();
  }

  /** A test gets every value, and learns at once of one that could not be sent. */
  #report(task: About, given: unknown): void {
    const value: unknown = JSON.parse(encodePayload(given, 'progress', PROGRESS_MAX_BYTES));
    this.#progress.set(`${task.queue} ${task.id}`, value);
    this.tell(task, { type: 'progress', value });
    this.onProgress(task, value);
  }

  #subject(queue: string): Subject<QueueEvent> {
    const subject = this.#subjects.get(queue) ?? new Subject<QueueEvent>();
    this.#subjects.set(queue, subject);
    return subject;
  }
}
