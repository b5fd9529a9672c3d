import type { Clock } from '../../redis/index.js';
import type { Delivery } from '../task/delivery.js';

/** For how many leases an isolated task makes the next one wait. A task that kills its process usually does so early. */
const LEASES = 12;

/**
 * Isolates tasks that two processes had when they died. A process has only one such task at a time. So an isolated task that
 * kills its process does not take another isolated task with it, and none of them is blamed for the others. If an isolated task
 * runs for long, the next one waits for twelve leases (a minute by default), and not longer.
 */
export class Isolation {
  readonly #clock: Clock;
  readonly #fromDelivery: number;
  readonly #withinMs: number;

  constructor(clock: Clock, maxDeliveries: number, leaseMs: number) {
    this.#clock = clock;
    this.#fromDelivery = Math.max(2, Math.min(3, maxDeliveries));
    this.#withinMs = LEASES * leaseMs;
  }

  concerns({ deliveries }: Delivery): boolean {
    return deliveries >= this.#fromDelivery;
  }

  /** Whether one of the held tasks makes the next isolated task wait. */
  isBusy(held: Iterable<Delivery>): boolean {
    const sinceMs = this.#clock.monoMs() - this.#withinMs;
    for (const delivery of held) if (this.concerns(delivery) && delivery.takenMs > sinceMs) return true;
    return false;
  }
}
