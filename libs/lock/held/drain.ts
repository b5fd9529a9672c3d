import type { Clock } from '../../redis/index.js';
import type { Lock } from './lock.js';

/** When a shutdown has waited for this many milliseconds, the log says for what. */
const QUIET_MS = 1_000;
/** How many names of locks that log line has at most. */
const NAMES_SHOWN = 5;

export interface DrainOptions {
  clock: Clock;
  withinMs: number;
  /** Writes one log line. */
  warn: (message: string) => void;
}

/**
 * The part of a shutdown in which work under locks may end by itself. It waits for the locks that were held when the shutdown
 * began, and for the bodies that ran then. Locks that are taken later belong to the work that the app still finishes
 * (requests, queue handlers), and are not waited for.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #held: Set<Lock>;
  #released: (() => void) | undefined;

  constructor(options: DrainOptions, held: Iterable<Lock>) {
    this.#options = options;
    this.#held = new Set(held);
  }

  /** Resolves when all locks have ended and all bodies have settled, at the latest after `withinMs`. */
  async wait(bodies: Iterable<Promise<unknown>>): Promise<void> {
    const { clock, withinMs, warn } = this.#options;
    const released = new Promise<void>((resolve) => (this.#released = resolve));
    if (this.#held.size === 0) this.#released?.();
    const done = Promise.allSettled([released, ...bodies]);
    if (withinMs > QUIET_MS && !(await settledWithin(clock, QUIET_MS, done))) {
      warn(`shutdown waits for ${this.#what()}, at most ${withinMs} ms (lock.drainMs)`);
      if (await settledWithin(clock, withinMs - QUIET_MS, done)) return;
      warn(`shutdown takes the locks from ${this.#what()} after ${withinMs} ms (lock.drainMs)`);
    } else await settledWithin(clock, withinMs, done);
  }

  /** A lock is not held any more. */
  ended(lock: Lock): void {
    if (this.#held.delete(lock) && this.#held.size === 0) this.#released?.();
  }

  #what(): string {
    const names = [...this.#held].map(({ name }) => `'${name}'`);
    if (names.length === 0) return 'work whose lock was lost';
    const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : '';
    return `work under ${names.length === 1 ? 'lock' : 'locks'} ${names.slice(0, NAMES_SHOWN).join(', ')}${more}`;
  }
}

/** Whether the promise settles within `ms` milliseconds. */
export function settledWithin(clock: Clock, ms: number, promise: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.timer(ms, () => {
      resolve(false);
    });
    const settled = (): void => {
      cancel();
      resolve(true);
    };
    promise.then(settled, settled);
  });
}
