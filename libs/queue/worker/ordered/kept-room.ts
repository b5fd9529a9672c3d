import type { Entry } from '../../store/stream-reply.js';
import type { FleetLimits } from '../admission/fleet-limits.js';

interface Worker {
  /** Whether tasks may start here. */
  readonly mayStart: boolean;
  /** How many more tasks may be read, beside those for which room is kept. */
  readonly credit: number;
  readonly limits: FleetLimits | undefined;
  accept(entries: readonly Entry[]): void;
}

/**
 * Keeps room in a worker for the tasks that an acknowledgement may bring. Without it, a call that takes tasks meanwhile would use the same
 * room, and tasks would wait here that other processes could run.
 */
export class KeptRoom {
  readonly #worker: Worker;
  #kept = 0;

  constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** For how many tasks room is kept. */
  get kept(): number {
    return this.#kept;
  }

  /** Keeps room for at most so many tasks; returns for how many. With limits of the fleet for none: their script gives permissions. */
  reserve(most: number): number {
    const { mayStart, limits, credit } = this.#worker;
    const room = mayStart && limits?.isExact === false ? Math.max(0, Math.min(most, credit)) : 0;
    this.#kept += room;
    return room;
  }

  /** The tasks have come, or the call has failed. */
  opened(entries: readonly Entry[], reserved: number): void {
    this.#kept -= reserved;
    if (entries.length > 0) this.#worker.accept(entries);
  }
}
