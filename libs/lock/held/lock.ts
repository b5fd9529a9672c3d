import { setMaxListeners } from 'node:events';
import type { CancelTimer, Clock, DeadlineQueue } from '../../redis/index.js';
import { Lease, type LeaseGrant } from './lease.js';
import type { LockRequest } from '../store/lock-request.js';
import { LockLostError, type LockLossReason } from '../lock.errors.js';
import { checkTtl } from '../lock.options.js';

/** What a held lock needs from the `LockManager`. */
export interface LockPort {
  readonly clock: Clock;
  readonly times: DeadlineQueue;
  renew(request: LockRequest, ttlMs: number, generation: number, deadlineMs: number): Promise<boolean>;
  /**
   * Resolves to true if the lock was still held in Redis. A release that fails is repeated in the background.
   *
   * @param isExtended whether Redis may hold a record of the lease's generation
   */
  release(request: LockRequest, isExtended: boolean): Promise<boolean>;
  /** The lock has been held for longer than `maxHoldMs`. */
  heldTooLong(request: LockRequest, lock: Lock): void;
  /** The lock is not held any more: it was lost, or is being released. */
  ended(request: LockRequest, lock: Lock, heldMs: number, lost: LockLostError | undefined): void;
}

/**
 * A lock that is held, from `acquire`, `tryAcquire`, `withLock` or `currentLock`.
 *
 * The lock is held until `release()`, or until its validity ends without a renewal: `held` turns false at that moment, and
 * `signal` aborts in the first turn of the event loop after it, even while Redis hangs. A process that was paused may still act
 * after the validity has ended. So the resource has to check what must never happen twice, by `fencingToken`.
 *
 * @example
 * await using lock = await locks.acquire('report');
 * await build({ signal: lock.signal });
 * lock.assertHeld(); // the last look before the step that cannot be undone
 * await publish({ fence: lock.fencingToken });
 *
 * @see docs/internals/lock.md#a-held-lock
 */
export class Lock {
  readonly name: string;
  /** The value of the lock's key in Redis. */
  readonly owner: string;
  /** Higher than the token of every earlier holder of this name; exact as a number until the year 2255. */
  readonly fencingToken: number;
  /** @internal The lock in whose body this lock's body runs. */
  outer: Lock | undefined;
  readonly #request: LockRequest;
  readonly #port: LockPort;
  readonly #lease: Lease;
  /** When the lock was granted, on the monotonic clock and on the wall clock. */
  readonly #sinceMs: number;
  readonly #sinceWallMs: number;
  #abort: AbortController | undefined;
  #lost: LockLostError | undefined;
  #released: Promise<boolean> | undefined;

  /** Made by `LockService`. */
  constructor(request: LockRequest, grant: LeaseGrant, port: LockPort) {
    this.name = request.name;
    this.owner = request.owner;
    this.fencingToken = grant.token;
    this.#request = request;
    this.#port = port;
    this.#sinceMs = grant.at.monoMs;
    this.#sinceWallMs = grant.at.wallMs;
    this.#lease = new Lease(port.clock, port.times, request, grant, this);
  }

  /** Aborts when the lock is lost, with the `LockLostError`. A release does not abort it. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      // Work under a lock may pass the signal to any number of calls: Node would warn of a leak at the eleventh.
      setMaxListeners(0, this.#abort.signal);
      if (this.#lost) this.#abort.abort(this.#lost);
    }
    return this.#abort.signal;
  }

  /** When the lease ends if no renewal succeeds, in Unix milliseconds on this machine's clock. */
  get expiresAt(): number {
    return this.#lease.expiresAtMs;
  }

  /** Whether the lock is held, computed at this moment. Once false, it stays false. */
  get held(): boolean {
    if (this.#lease.remainingMs > 0) return true;
    // The timer that reports the end may still wait until this turn of the event loop is over.
    if (this.#released === undefined && this.#lost === undefined) this.#lose('expired');
    return false;
  }

  /** @throws LockLostError if the lock is not held any more, also after a release */
  assertHeld(): void {
    if (!this.held) throw this.#lost ?? this.#lostError('released');
  }

  /**
   * Makes the lease `ttlMs` long, counted from now. Every later renewal has this length too.
   *
   * @throws LockLostError if the lock is not held any more
   * @throws RedisUnavailableError if Redis did not answer; the lease before the call is still valid
   */
  async extend(ttlMs: number): Promise<void> {
    const ttl = checkTtl(ttlMs, 'extend(ttlMs)');
    this.assertHeld();
    if (!(await this.#lease.extend(ttl))) this.assertHeld();
  }

  /**
   * Releases the lock, and hands it to the first waiter in the same step. Resolves to true if the lock was still held in Redis,
   * and to false if it had been lost. From the call on, `held` is false. A second call returns the same promise.
   *
   * @throws RedisUnavailableError if Redis did not answer. The release is repeated in the background until the lease is over
   */
  release(): Promise<boolean> {
    return (this.#released ??= this.#release());
  }

  /** For `await using`: the same as {@link release}, but a release that fails does not replace the result of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    const released = this.release().catch(() => {});
    if (!this.isGone) await released;
  }

  /** @internal Whether the lock was lost in such a way that Redis has nothing to release any more. */
  get isGone(): boolean {
    const reason = this.#lost?.reason;
    return reason === 'expired' || reason === 'taken' || reason === 'forced';
  }

  /** @internal Whether the lock is held, and has this key. */
  isHeldBy(port: LockPort, key: string): boolean {
    return this.#port === port && this.#request.keys.lock === key && this.held;
  }

  /** @internal Finds out at once whether the lock is still held. */
  verify(): void {
    this.#lease.verify();
  }

  /** @internal Called by the lease. */
  renew(ttlMs: number, generation: number, deadlineMs: number): Promise<boolean> {
    return this.#port.renew(this.#request, ttlMs, generation, deadlineMs);
  }

  /** @internal The lease has ended. */
  lost(reason: 'expired' | 'taken'): void {
    this.#lose(reason);
  }

  /** @internal The lock has been held for longer than `maxHoldMs`. */
  heldTooLong(): void {
    this.#port.heldTooLong(this.#request, this);
  }

  /** @internal The lock has been held for longer than allowed. */
  overdue(): void {
    if (this.held) this.#lose('overdue');
  }

  /** @internal The app is closing: the signal tells this to the work under the lock. */
  close(): void {
    if (this.held) this.#lose('closed');
  }

  /** @internal A message said that the lock was taken away from this very acquisition. */
  forced(): void {
    if (this.held) this.#lose('forced');
  }

  /** @internal The length of the lease that was asked for. */
  get ttlMs(): number {
    return this.#request.ttlMs;
  }

  /** @internal */
  timer(ms: number, fire: () => void): CancelTimer {
    return this.#port.clock.timer(ms, fire);
  }

  /** @internal Nothing has begun to read the ongoing result of the method. */
  abandoned(): void {
    if (this.held) this.#lose('abandoned');
  }

  #release(): Promise<boolean> {
    // The bookkeeping below runs while the request is on its way.
    const released = this.#port.release(this.#request, this.#lease.isExtended);
    this.#lease.end();
    if (this.#lost === undefined) this.#port.ended(this.#request, this, this.#heldMs(), undefined);
    return released;
  }

  #lose(reason: LockLossReason): void {
    this.#lost = this.#lostError(reason);
    this.#lease.end();
    this.#port.ended(this.#request, this, this.#heldMs(), this.#lost);
    this.#abort?.abort(this.#lost);
  }

  #lostError(reason: LockLossReason): LockLostError {
    return new LockLostError(this.name, reason, {
      owner: this.owner,
      since: new Date(this.#sinceWallMs),
    });
  }

  #heldMs(): number {
    return this.#port.clock.monoMs() - this.#sinceMs;
  }
}
