import type { Clock } from '../../redis/index.js';
import type { Delivery } from '../task/delivery.js';

/** For how many leases an isolated task keeps others of its kind waiting. A task that kills its process mostly does so early. */
const LEASES = 12;

/**
 * Tasks that two processes died with: a process has one of them at a time, so that they neither take others down, nor are
 * blamed for them. One that runs for long holds up the next for twelve leases, a minute by default, and not for ever.
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

  /** Whether one of these keeps the next one waiting. */
  isBusy(held: Iterable<Delivery>): boolean {
    const sinceMs = this.#clock.monoMs() - this.#withinMs;
    for (const delivery of held) if (this.concerns(delivery) && delivery.takenMs > sinceMs) return true;
    return false;
  }
}
