import type { Worker } from '../worker.js';
import type { Findings } from './lease-renewer.js';

/** Brings tasks to the workers of one group. */
export interface QueueReader {
  readonly workers: readonly Worker[];
  readonly group: string;
  /** Whether somebody has to look for its tasks, because it has no socket that blocks in a read. */
  readonly isWatched: boolean;
  start(): void;
  /** A look has found tasks in a stream of a reader that is watched. */
  tasksWait(): void;
  /** There may be tasks to take over in this stream. */
  look(stream: string): void;
  /** A worker has enough credit to read. */
  creditGained(worker: Worker): void;
  /** Lets the next turn begin now. */
  interrupt(): void;
  /** A renewal has found something to do on the stream of one of these workers. */
  found(worker: Worker, findings: Findings): void;
  /** The queue of a worker of this group was resumed. */
  resume(): void;
  /** Ends the read under way, accepts the tasks that it still delivered, and closes the socket. */
  stop(): Promise<void>;
}
