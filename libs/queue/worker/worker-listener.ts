import type { TaskCancelledMessage } from '../observe/queue.channels.js';

/** What a worker reports. */
export interface WorkerListener<Worker> {
  /** The worker has enough credit to read. */
  creditGained(worker: Worker): void;
  /** The worker has tasks that must not start, because its queue is halted. */
  bufferedWhileHalted(worker: Worker): void;
  /** The worker has dropped tasks that came too late to start: they are to be returned. */
  tooLate(worker: Worker, ids: readonly string[]): void;
  /** A task for `stream` was delayed: it must be promoted in `delayMs`. */
  delayed(stream: string, delayMs: number): void;
  /** A task was put into `stream`, a group's own retries, or will be: the stream must be read. */
  retriesUsed(stream: string): void;
  /** A cancelled task was dropped. */
  cancelled(about: TaskCancelledMessage): void;
  /** An isolated task is settled: the next one may come. */
  isolatedSettled(worker: Worker): void;
}
