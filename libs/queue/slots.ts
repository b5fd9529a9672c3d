import type { Worker } from './worker.js';

/**
 * The places of one handler in this process, shared by the streams that feed it: its queue, and its group's retries.
 *
 * What counts against `concurrency`, and against the credit, counts for the handler as a whole.
 */
export class Slots {
  /** How many of its tasks run. */
  running = 0;
  /** How many are pending with this process: at hand, running, or finished and not yet confirmed. */
  held = 0;
  readonly workers: Worker[] = [];
}
