import { Deadline, type Clock, type DeadlineQueue } from '../../redis/index.js';

/** What may be pushed to a waiting request: how the load that it waits for ended, or that the request must ask Redis again. */
export type PushedOutcome =
  | { readonly verb: 'value'; readonly text: string }
  | { readonly verb: 'error'; readonly failure: string }
  | { readonly verb: 'again' };

export const AGAIN: PushedOutcome = { verb: 'again' };

/**
 * One question to Redis, and what is pushed in answer to it. Its token belongs to this question alone, so that no message for an
 * earlier question can be taken for its answer.
 */
export class WaitTicket extends Deadline {
  readonly token: string;
  /** Called once when the lease that this request was granted is lost. */
  onInvalidated: (() => void) | undefined;
  /** A load that was granted to this ticket runs. That load ends the ticket. */
  loading = false;
  readonly #clock: Clock;
  readonly #times: DeadlineQueue;
  #invalidated = false;
  #pushed: PushedOutcome | undefined;
  #wake: ((pushed: PushedOutcome) => void) | undefined;

  constructor(token: string, clock: Clock, times: DeadlineQueue) {
    super();
    this.token = token;
    this.#clock = clock;
    this.#times = times;
  }

  /** The lease that was granted to this ticket is lost, perhaps before the grant was read. */
  get invalidated(): boolean {
    return this.#invalidated;
  }

  invalidate(): void {
    if (this.#invalidated) return;
    this.#invalidated = true;
    this.onInvalidated?.();
  }

  /**
   * Forgets what was pushed, so that the same question can be asked again. Only for a request that neither loads nor waits
   * for a load.
   */
  renew(): void {
    this.#pushed = undefined;
    this.#wake = undefined;
  }

  /** Only the first message counts. */
  receive(pushed: PushedOutcome): void {
    if (this.#pushed) return;
    this.#pushed = pushed;
    this.#times.unset(this);
    this.#wake?.(pushed);
  }

  /** Nothing was pushed in time. */
  override onDue(): void {
    this.receive(AGAIN);
  }

  override onClockStep(): void {
    // Leases are measured by Redis' clock. If the subscriber's socket is a new one after the machine slept, every request asks
    // again.
  }

  /**
   * Resolves to the message that is pushed, or was pushed already. After `timeoutMs` without a message, resolves to "ask again".
   */
  outcome(timeoutMs: number): Promise<PushedOutcome> {
    if (this.#pushed) return Promise.resolve(this.#pushed);
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#times.set(this, timeoutMs, this.#clock.monoMs());
    });
  }
}
