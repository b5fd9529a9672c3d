import { DeadlineQueue, type Clock } from '../../redis/index.js';
import { runUnder } from '../held/current-lock.js';
import { Drain, settledWithin } from '../held/drain.js';
import type { LeaseGrant } from '../held/lease.js';
import { Lock, type LockPort } from '../held/lock.js';
import { LockTimeoutError, type LockLostError } from '../lock.errors.js';
import type { LockEvents } from '../observe/lock.events.js';
import type { LockIdentity, LockRequest } from '../store/lock-request.js';
import type { ForcedRelease, LockStore, PushedGrant } from '../store/lock.store.js';
import type { AcquiredTick } from '../store/scripts/acquire.reply.js';
import type { Released } from '../store/scripts/release.script.js';
import { Attempts, type Attempt, type AttemptListener, type NotGranted } from './attempts.js';
import { EarlyForceReleases } from './early-force-releases.js';
import { closedError, withLockName } from './outage.js';
import { ReleaseRetries, type Pending, type Releaser } from './release-retries.js';
import type { GaveUp, Waiter } from './waiter.js';
import { WaitingRoom, type WaitingRoomListener } from './waiting-room.js';

/** The deadline of releases in a shutdown or in the background, and of the release that ends a wait, in milliseconds. */
const LEAVE_DEADLINE_MS = 1_000;
/** How long a shutdown waits for bodies under a lock after it has aborted their signals, in milliseconds. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Takes and releases locks on one Redis. The manager knows every lock that this process holds or waits for, and every lock that
 * Redis may have granted to this process without its knowledge.
 *
 * - The `WaitingRoom` and the `Attempts` ask Redis for locks and report the grants: `granted`, `unwanted`, `gaveUp`.
 * - Each `Lock` renews and releases itself through the manager: `renew`, `release`, `ended`.
 * - `ReleaseRetries` repeats the releases that Redis did not answer.
 */
export class LockManager implements WaitingRoomListener, AttemptListener, LockPort, Releaser {
  readonly clock: Clock;
  /** The deadlines of all held locks. */
  readonly times: DeadlineQueue;
  readonly #store: LockStore;
  readonly #events: LockEvents;
  readonly #reportError: (error: unknown, name: string) => void;
  readonly #room: WaitingRoom;
  readonly #attempts: Attempts;
  readonly #releaseRetries: ReleaseRetries;
  readonly #earlyForceReleases: EarlyForceReleases;
  /** The held locks, by nonce. */
  readonly #held = new Map<string, Lock>();
  /** Bodies that run under a lock. */
  readonly #running = new Set<Promise<unknown>>();
  /** Releases that a shutdown has sent. */
  readonly #leaving: Promise<unknown>[] = [];
  #closed = false;
  #drain: Drain | undefined;

  constructor(clock: Clock, store: LockStore, events: LockEvents, reportError: (error: unknown, name: string) => void) {
    this.clock = clock;
    this.times = new DeadlineQueue(clock);
    this.#store = store;
    this.#events = events;
    this.#reportError = reportError;
    this.#earlyForceReleases = new EarlyForceReleases(clock);
    this.#releaseRetries = new ReleaseRetries(clock, this);
    this.#attempts = new Attempts(clock, this);
    this.#room = new WaitingRoom(clock, store, this);
    store.onPush((grant) => {
      this.#pushed(grant);
    });
    store.onForced((forced) => {
      this.#forceReleased(forced);
    });
    store.onResync(() => {
      this.#resync();
    });
  }

  /** How many locks are held through this manager. */
  get held(): number {
    return this.#held.size;
  }

  /** Whether the app shuts down. Then this process skips the calls of a scheduler, because other processes can run them. */
  get shutsDown(): boolean {
    return this.#drain !== undefined || this.#closed;
  }

  /** How many calls wait for a lock. */
  get waiting(): number {
    return this.#room.size;
  }

  /** Takes the lock. Waits if the lock is not free. */
  wait(request: LockRequest, waitMs: number, signal: AbortSignal | undefined): Promise<Lock> {
    this.#refuseWhenClosed(request.name);
    return this.#room.wait(request, waitMs, signal);
  }

  /** Takes the lock without waiting for its holder. If the lock is held, the answer names the holder. */
  async attempt<A extends AcquiredTick>(request: LockRequest, attempt: Attempt<A>): Promise<Lock | NotGranted<A>> {
    this.#refuseWhenClosed(request.name);
    return this.#attempts.run(request, attempt);
  }

  /** Runs a body under a lock. A shutdown waits a limited time for the body, and for a result that goes on after the body. */
  async run<T>(lock: Lock, body: () => T | Promise<T>, site: () => string): Promise<T> {
    const goesOn = (ended: Promise<void>): void => {
      this.#running.add(ended);
      void ended.then(() => this.#running.delete(ended));
    };
    const running = runUnder(lock, body, { site, goesOn });
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Gives the holders of the present locks up to `withinMs` milliseconds to release them. Other calls go on as before. */
  async drain(withinMs: number): Promise<void> {
    const warn = (message: string): void => {
      this.#events.warn(message);
    };
    this.#drain = new Drain({ clock: this.clock, withinMs, warn }, this.#held.values());
    if (withinMs > 0) await this.#drain.wait(this.#running);
  }

  /** Rejects all waiters and aborts the signals of held locks. Bodies have a second to end. Then all locks are released. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#room.leave((waiter) => {
      waiter.fail(closedError(waiter.request.name));
      this.#leaving.push(this.#store.release(waiter.request, 0, LEAVE_DEADLINE_MS).catch(() => {}));
    });
    const stopped = this.#room.stop();
    const held = [...this.#held.values()];
    for (const lock of held) lock.close();
    if (this.#running.size > 0) await settledWithin(this.clock, CLOSE_GRACE_MS, Promise.allSettled(this.#running));
    await Promise.all([stopped, this.#attempts.close(), ...held.map((lock) => lock.release().catch(() => {}))]);
    await Promise.all(this.#leaving);
    await this.#releaseRetries.stop();
    this.times.stop();
  }

  // What the WaitingRoom and the Attempts report.

  /** A lock is granted, and is held from this step on. `fromMs` is when the call asked for the lock, on the monotonic clock. */
  granted(request: LockRequest, grant: LeaseGrant, fromMs: number): Lock {
    const lock = new Lock(request, grant, this);
    if (this.#closed) {
      this.#leaving.push(lock.release().catch(() => {}));
      throw closedError(request.name);
    }
    const { keys } = request;
    if (grant.token > keys.highest) {
      keys.highest = grant.token;
      keys.floor = grant.text ?? String(grant.token);
    }
    this.#held.set(request.nonce, lock);
    this.#events.acquired(lock, grant.at.monoMs - fromMs);
    if (this.#earlyForceReleases.has(request.nonce, lock.fencingToken)) lock.forced();
    return lock;
  }

  /**
   * No call waits for this grant: its waiter has left, or Redis executed a request late. The grant is released, so that the next
   * waiter does not wait until its lease ends.
   */
  unwanted(identity: LockIdentity, ttlMs: number): void {
    if (this.#held.has(identity.nonce)) return;
    this.#events.unwanted(identity.keys.lock, identity.nonce);
    this.#releaseRetries.add(identity, ttlMs);
  }

  mayBeGranted(request: LockRequest): void {
    this.#retryRelease(request, request.ttlMs);
  }

  waits({ nonce }: LockRequest): void {
    this.#releaseRetries.keep(nonce);
  }

  queued({ name, nonce }: LockRequest): void {
    this.#events.queued(name, nonce);
  }

  busy({ name, nonce }: LockRequest): void {
    this.#events.busy(name, nonce);
  }

  /**
   * A waiter's time is over, or its signal has aborted. If Redis grants the lock to the waiter at this moment, the release hands
   * the lock to the next waiter.
   */
  gaveUp(waiter: Waiter, why: GaveUp): void {
    if (why.because === 'timeout') {
      void this.#timedOut(waiter);
      return;
    }
    waiter.fail(why.reason);
    this.mayBeGranted(waiter.request);
  }

  onError(error: unknown, name: string): void {
    this.#reportError(error, name);
  }

  // What a held Lock asks for and reports.

  async renew(request: LockRequest, ttlMs: number, generation: number, deadlineMs: number): Promise<boolean> {
    try {
      return await this.#store.renew(request, ttlMs, generation, deadlineMs);
    } catch (error) {
      throw withLockName(request.name, 'extend', error);
    }
  }

  release(request: LockRequest, isExtended: boolean): Promise<boolean> {
    const { ttlMs, minHoldMs } = request;
    const deadlineMs = this.#closed ? LEAVE_DEADLINE_MS : undefined;
    const released =
      isExtended || minHoldMs > 0
        ? this.#store.release(request, minHoldMs, deadlineMs)
        : this.#store.releasePlain(request, deadlineMs);
    return released.then(
      (answer) => this.#handOn(request, answer),
      (error: unknown) => {
        this.#retryRelease(request, ttlMs, minHoldMs);
        throw withLockName(request.name, 'release', error);
      },
    );
  }

  heldTooLong({ maxHoldMs, abortsOverdue = false }: LockRequest, lock: Lock): void {
    this.#events.heldTooLong(lock, maxHoldMs);
    if (abortsOverdue) lock.overdue();
  }

  ended(request: LockRequest, lock: Lock, heldMs: number, lost: LockLostError | undefined): void {
    this.#held.delete(request.nonce);
    this.#drain?.ended(lock);
    // A shutdown releases a closed lock right away. So the lock counts as released, and not as lost.
    if (lost === undefined || lost.reason === 'closed') this.#events.released(lock, heldMs);
    else this.#events.lost(lock, heldMs, lost);
  }

  // What the ReleaseRetries ask for.

  async releaseNow(identity: LockIdentity, minHoldMs: Pending['minHoldMs']): Promise<Released> {
    const answer = await this.#store.release(identity, minHoldMs, LEAVE_DEADLINE_MS);
    this.#handOn(identity, answer);
    return answer;
  }

  // What the store reports.

  #pushed(pushed: PushedGrant): void {
    const { identity, token } = pushed;
    this.#events.handedOver(identity.keys.lock, identity.nonce, token);
    if (!this.#room.pushed(pushed)) this.unwanted(pushed.identity, pushed.validMs);
  }

  #forceReleased(forced: ForcedRelease): void {
    const lock = this.#held.get(forced.nonce);
    if (lock === undefined) this.#earlyForceReleases.add(forced);
    else if (lock.fencingToken === forced.token) lock.forced();
  }

  #resync(): void {
    this.#releaseRetries.retry();
    for (const lock of this.#held.values()) lock.verify();
    this.#room.resync();
  }

  async #timedOut(waiter: Waiter): Promise<void> {
    const { request, waitMs } = waiter;
    try {
      const answer = await this.releaseNow(request, 0);
      const timeout = new LockTimeoutError(request.name, waitMs, answer.released ? undefined : answer.holder);
      this.#events.timedOut(timeout);
      waiter.fail(timeout);
    } catch (error) {
      waiter.fail(withLockName(request.name, 'acquire', waiter.trouble ?? error));
      this.mayBeGranted(request);
    }
  }

  #retryRelease(request: LockRequest, ttlMs: number, minHoldMs?: number): void {
    this.#events.releaseRetried(request.keys.lock, request.nonce);
    this.#releaseRetries.add(request, ttlMs, minHoldMs);
  }

  #handOn({ keys }: LockIdentity, answer: Released): boolean {
    if (answer.released && answer.unsettled) void this.#room.handOn(keys);
    return answer.released;
  }

  #refuseWhenClosed(name: string): void {
    if (this.#closed) throw closedError(name);
  }
}
