/** What a worker reports. */
export interface WorkerListener<Worker> {
  /** There is credit enough to read. */
  creditGained(worker: Worker): void;
  /** The worker has tasks that must not start, because its queue is paused. */
  bufferedWhilePaused(worker: Worker): void;
  /** A task was delayed on its way to `stream`: it must be promoted in `delayMs`. */
  delayed(stream: string, delayMs: number): void;
  /** An isolated task is settled: the next one may come. */
  isolatedSettled(worker: Worker): void;
}
