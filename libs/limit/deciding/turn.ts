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
}

/** One call of `take`: it waits for its answer, then for its turn. An abort ends it at any time, once. */
export class Turn {
  readonly #options: TurnOptions;
  readonly #onAbort: () => void;
  #cancelTimer: CancelTimer | undefined;
  #reserved: Reserved | undefined;
  #isOver = false;

  constructor(options: TurnOptions) {
    const { signal, reject } = options;
    this.#options = options;
    this.#onAbort = () => {
      if (!this.#end()) return;
      this.#giveBack();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', this.#onAbort);
  }

  /** The answer: when the turn comes, or that it comes too late. */
  decided(decision: RateLimitDecision, charge: Charge | undefined, reserved: Reserved | undefined): void {
    const { known, clock, resolve, reject } = this.#options;
    this.#reserved = reserved;
    if (this.#isOver) {
      this.#giveBack();
      return;
    }
    if (!decision.allowed) {
      this.#end();
      reject(new RateLimitedError(known.name, decision));
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
    return true;
  }

  /** A turn that is not given back passes unused. */
  #giveBack(): void {
    this.#reserved?.cancel().catch(() => {
      // An outage: the connection reports it.
    });
  }
}
