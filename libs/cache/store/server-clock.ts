import type { Clock } from '../../redis/index.js';

/**
 * The latest time that Redis' clock can show now, as known from its replies. A reply that said `s`, to a request sent at `t`, was
 * made after `t`. So Redis' clock now shows at most `s + (now − t)`. This time is ahead of Redis' clock by less than that round
 * trip, and never behind it.
 */
export class ServerClock {
  readonly #clock: Clock;
  #aheadMs = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The time for {@link heard}. Call this when a request is sent. */
  sent(): number {
    return this.#clock.monoMs();
  }

  heard(serverMs: number, sentAtMs: number): void {
    this.#aheadMs = serverMs - sentAtMs;
  }

  /** Forgets what was heard, because there may be another server now. */
  reset(): void {
    this.#aheadMs = Infinity;
  }

  /** The latest time that Redis' clock can show now. Infinity before any reply was heard. */
  latestMs(): number {
    return this.#clock.monoMs() + this.#aheadMs;
  }
}
