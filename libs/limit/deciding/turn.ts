import type { CancelTimer, Clock } from '../../redis/index.js';
import { RateLimitedError } from '../limit.errors.js';
import type { RateLimitDecision } from '../rate-limit-decision.js';
import type { KnownLimit } from './known-limit.js';
import type { Charge } from './batches.js';
import type { Reserved } from './reserved.js';

export interface TurnOptions {
  readonly known: KnownLimit;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  /** Gets what gives the turn back; undefined: it cannot be given back. */
  readonly resolve: (reserved: Reserved | undefined) => void;
  readonly reject: (error: unknown) => void;
  /** The call waits no longer. */
  readonly ended: () => void;
}

/** One call of `take`: it waits for its answer, then for its turn. An abort or a failure ends it at any time, once. */
export class Turn {
  readonly #options: TurnOptions;
  readonly #onAbort: () => void;
  #cancelTimer: CancelTimer | undefined;
  #reserved: Reserved | undefined;
  #isOver = false;

  constructor(options: TurnOptions) {
    const { signal } = options;
    this.#options = options;
    this.#onAbort = () => void this.fail(signal?.reason);
    signal?.addEventListener('abort', this.#onAbort);
  }

  get name(): string {
    return this.#options.known.name;
  }

  /** Ends the wait with an error. Resolves when the turn is given back. */
  async fail(error: unknown): Promise<void> {
    if (!this.#end()) return;
    this.#options.reject(error);
    await this.#giveBack();
  }

  /** The answer: when the turn comes, or that it comes too late. */
  decided(decision: RateLimitDecision, charge: Charge | undefined, reserved: Reserved | undefined): void {
    const { known, clock, resolve } = this.#options;
    this.#reserved = reserved;
    if (this.#isOver) {
      void this.#giveBack();
      return;
    }
    if (!decision.allowed) {
      void this.fail(new RateLimitedError(known.name, decision));
      return;
    }
    const start = (): void => {
      if (this.#end()) resolve(reserved);
    };
    const dueMs = Math.ceil((charge?.dueUs ?? 0) / 1_000);
    if (dueMs === 0) start();
    else this.#cancelTimer = clock.timer(dueMs, start);
  }

  /** True for the first end. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#cancelTimer?.();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#options.ended();
    return true;
  }

  /** A turn that is not given back passes unused. */
  async #giveBack(): Promise<void> {
    try {
      await this.#reserved?.cancel();
    } catch {
      // An outage: the connection reports it.
    }
  }
}
