import type { Clock } from './time/clock.js';

export interface TransitionOptions<T> {
  clock: Clock;
  /** The state was entered. Write one log line, publish one message. */
  began: (detail: T) => void;
  /** The state was left, after so many milliseconds and so many sightings. The same here. */
  ended: (lastedMs: number, seen: number) => void;
}

/**
 * A state that is reported to the user: a connection that is lost, a server that refuses, a cache that is off.
 *
 * Code that sees the state calls `begin` each time. The user gets one report when the state begins and one when it ends.
 */
export class Transition<T = void> {
  readonly #options: TransitionOptions<T>;
  #sinceMs: number | undefined;
  #seen = 0;
  #count = 0;

  constructor(options: TransitionOptions<T>) {
    this.#options = options;
  }

  get active(): boolean {
    return this.#sinceMs !== undefined;
  }

  /** How often the state began. */
  get count(): number {
    return this.#count;
  }

  /** The state is seen. */
  begin(detail: T): void {
    this.#seen++;
    if (this.#sinceMs !== undefined) return;
    this.#sinceMs = this.#options.clock.monoMs();
    this.#count++;
    this.#options.began(detail);
  }

  /** The state is over; nothing happens if it was not seen. */
  end(): void {
    if (this.#sinceMs === undefined) return;
    const lastedMs = this.#options.clock.monoMs() - this.#sinceMs;
    const seen = this.#seen;
    this.#sinceMs = undefined;
    this.#seen = 0;
    this.#options.ended(lastedMs, seen);
  }
}
