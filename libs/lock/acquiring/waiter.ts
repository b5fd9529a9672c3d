import { certainMs, instantOf, remainingMs, type CancelTimer, type Clock, type Instant } from '../../redis/index.js';
import { onAbort } from './abort-listeners.js';
import type { LockRequest } from '../store/lock-request.js';
import type { LeaseGrant } from '../held/lease.js';
import type { Lock } from '../held/lock.js';

/** How much longer than `waitMs` the first answer may take, in milliseconds. */
export const ANSWER_MS = 1_000;

/** How a wait ended without a grant. */
export type GaveUp = { because: 'timeout' } | { because: 'abort'; reason: unknown };

/**
 * One acquisition that may have to wait. The acquisition settles once: by a grant or by an error.
 *
 * **What a push proves.** A push does not say when its grant was made. The message may have been in a socket while this process
 * was blocked, and the grant may have expired since. `bound.from` is when the last request was sent that was answered "still
 * waiting", and `bound.fence` is the last token at that answer. If the pushed token is higher, the grant was made after
 * `bound.from`, so that its lease ends no sooner than its length after `bound.from`. A lower token belongs to a grant that was
 * over by then.
 *
 * @see docs/internals/lock.md#a-waiter
 */
export class Waiter {
  readonly request: LockRequest;
  /** The place in the queue; '0' until Redis has answered. */
  place = '0';
  /** How long the waiter waits, in milliseconds, from its first request on. */
  readonly waitMs: number;
  /**
   * The lock that `hold` makes of the grant. `hold` runs in the step that ends the wait. So there is no moment at which the
   * acquisition neither waits nor is held.
   */
  readonly granted: Promise<Lock>;
  readonly #hold: (grant: LeaseGrant) => Lock;
  readonly #untilMs: number;
  readonly #clock: Clock;
  #bound: { from: Instant; fence: number };
  #state: 'waiting' | 'leaving' | 'done' = 'waiting';
  #trouble: unknown;
  /** Whether the first request was answered, or failed. */
  #heard = false;
  #overdue: (() => void) | undefined;
  #resolve!: (lock: Lock) => void;
  #reject!: (error: unknown) => void;
  readonly #endings: (() => void)[] = [];

  constructor(request: LockRequest, clock: Clock, sent: Instant, waitMs: number, hold: (grant: LeaseGrant) => Lock) {
    this.request = request;
    this.#clock = clock;
    this.waitMs = waitMs;
    this.#hold = hold;
    this.#untilMs = sent.monoMs + waitMs;
    this.#bound = { from: sent, fence: 0 };
    this.granted = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** False once the waiter was granted the lock, has failed or has left. Then it takes no grant any more. */
  get waiting(): boolean {
    return this.#state === 'waiting';
  }

  /** Why the last request failed; undefined once Redis answers again. */
  get trouble(): unknown {
    return this.#trouble;
  }

  /**
   * Calls `giveUp` when `waitMs` is over, or when the signal aborts. `waitMs` limits the wait in the queue. The first answer may
   * take longer, by at most `ANSWER_MS`, because the lock may be free.
   */
  limit(signal: AbortSignal | undefined, giveUp: (why: GaveUp) => void): void {
    const timeout = (): void => {
      giveUp({ because: 'timeout' });
    };
    let cancel: CancelTimer = this.#clock.timer(Math.max(1, this.#untilMs - this.#clock.monoMs()), () => {
      if (this.#heard) {
        timeout();
        return;
      }
      this.#overdue = timeout;
      cancel = this.#clock.timer(ANSWER_MS, timeout);
    });
    this.#endings.push(() => {
      cancel();
    });
    if (signal === undefined) return;
    this.#endings.push(
      onAbort(signal, () => {
        giveUp({ because: 'abort', reason: signal.reason });
      }),
    );
  }

  /**
   * Redis has answered a request that was sent at `from`: the waiter still waits, and the last token is `fence`. Returns false if
   * the waiter does not wait any more, for example because its time was over already.
   */
  stillWaiting(from: Instant, fence: number): boolean {
    this.#bound = { from, fence };
    this.#trouble = undefined;
    return this.#heardOf();
  }

  /** A request failed in a way that may pass. Returns false if the waiter does not wait any more: see `stillWaiting`. */
  troubled(error: unknown): boolean {
    this.#trouble = error;
    return this.#heardOf();
  }

  /** Redis has answered a request that was sent at `from`: the lock is granted. Returns false if that lease may be over. */
  answered(token: number, from: Instant): boolean {
    return this.#take({ token, from, validMs: this.request.ttlMs, claimed: true }, 0);
  }

  /**
   * A provisional grant was pushed. Returns false if less than two thirds of a lease are certain, or if the message is out of
   * date. Then Redis must be asked, and its answer is a full lease. So a lock that was handed over survives the same block of the
   * event loop as a lock that was free.
   */
  pushed(token: number, validMs: number): boolean {
    const { from, fence } = this.#bound;
    const atLeastMs = (certainMs(this.request.ttlMs) * 2) / 3;
    return token > fence && this.#take({ token, from, validMs, claimed: false }, atLeastMs);
  }

  /**
   * From now on, the waiter takes no grant. The caller of this method must fail the waiter, and must release the lock or the
   * place in the queue that the waiter may have in Redis.
   */
  leave(): void {
    if (this.#state === 'waiting') this.#end('leaving');
  }

  fail(error: unknown): void {
    if (this.#state === 'done') return;
    this.#end('done');
    this.#reject(error);
  }

  #heardOf(): boolean {
    this.#heard = true;
    this.#overdue?.();
    return this.waiting;
  }

  #take(grant: Omit<LeaseGrant, 'at'>, atLeastMs: number): boolean {
    const at = instantOf(this.#clock);
    if (remainingMs(at, grant.from, grant.validMs) <= atLeastMs) return false;
    this.#end('done');
    try {
      this.#resolve(this.#hold({ ...grant, at }));
    } catch (error) {
      this.#reject(error);
    }
    return true;
  }

  #end(state: 'leaving' | 'done'): void {
    this.#state = state;
    for (const end of this.#endings.splice(0)) end();
  }
}
