import type { Clock } from '../../redis/index.js';

/**
 * The latest that Redis' clock can be now, from what its replies said: one that said `s`, to a request sent at `t`, was made
 * after `t`, so it is at most `s + (now − t)`. Ahead by less than that round trip, never behind.
 */
export class ServerClock {
  readonly #clock: Clock;
  #aheadMs = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be taken when a request is sent, for {@link heard}. */
  sent(): number {
    return this.#clock.monoMs();
  }

  heard(serverMs: number, sentAtMs: number): void {
    this.#aheadMs = serverMs - sentAtMs;
  }

  /** What was heard counts no more: there may be another server now. */
  reset(): void {
    this.#aheadMs = Infinity;
  }

  /** Infinity before anything was heard. */
  latestMs(): number {
    return this.#clock.monoMs() + this.#aheadMs;
  }
}
