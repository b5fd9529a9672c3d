import { DeadlineQueue, isTransient, isUnavailable, type Clock } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import { runUnder } from '../held/current-lock.js';
import { EarlyForceReleases } from './early-force-releases.js';
import { ReleaseRetries } from './release-retries.js';
import { instantOf, remainingMs } from '../../redis/time/instant.js';
import { LockLostError, LockTimeoutError, LockUnavailableError } from '../lock.errors.js';
import type { LockEvents } from '../observe/lock.events.js';
import type { LockIdentity, LockRequest } from '../store/lock-request.js';
import type { LeaseGrant } from '../held/lease.js';
import { Lock, type LockPort } from '../held/lock.js';
import type { ForcedRelease, LockStore, PushedGrant } from '../store/lock.store.js';
import type { AcquiredTick } from '../store/scripts/acquire.reply.js';
import type { Released } from '../store/scripts/release.script.js';
import type { GaveUp, Waiter } from './waiter.js';
import { WaitingRoom } from './waiting-room.js';

/** How long a release may take for which a shutdown waits, or nobody; or a waiter that gives up: it says who holds the lock. */
const LEAVE_DEADLINE_MS = 1_000;
/** How long a shutdown waits for bodies that still run under a lock, once their signals are aborted. */
const CLOSE_GRACE_MS = 1_000;
/** Between two tries of a request that Redis did not answer. */
const RETRY_MS = 100;

export interface Attempt<A extends AcquiredTick> {
  send: () => Promise<A>;
  /** How long a Redis that does not answer is asked again. */
  patienceMs: number;
  signal?: AbortSignal | undefined;
}

type NotGranted<A> = Exclude<A, { state: 'granted' }>;

/**
 * Takes locks and gives them back, on one Redis: knows every lock that this process holds, waits for, or may have been
 * granted without being told.
 */
export class LockManager {
  readonly #clock: Clock;
  readonly #store: LockStore;
  readonly #room: WaitingRoom;
  readonly #releaseRetries: ReleaseRetries;
  readonly #port: LockPort;
  readonly #events: LockEvents;
  readonly #held = new Map<string, Lock>();
  readonly #earlyForceReleases: EarlyForceReleases;
  readonly #running = new Set<Promise<unknown>>();
  /** What a shutdown has begun to give back. */
  readonly #leaving: Promise<unknown>[] = [];
  #closed = false;
  /** How many attempts are under way, and who waits for their end. */
  #attempts = 0;
  #attempted: (() => void) | undefined;

  constructor(clock: Clock, store: LockStore, events: LockEvents, onError: (error: unknown, name: string) => void) {
    this.#clock = clock;
    this.#store = store;
    this.#events = events;
    this.#earlyForceReleases = new EarlyForceReleases(clock);
    this.#releaseRetries = new ReleaseRetries(
      clock,
      (pending) => this.#releaseNow(pending, pending.minHoldMs),
      onError,
    );
    const unwanted = (identity: LockIdentity, ttlMs: number): void => {
      this.#unwanted(identity, ttlMs);
    };
    this.#room = new WaitingRoom(clock, store, {
      granted: (request, grant, askedAtMs) => this.#hold(request, grant, askedAtMs),
      unwanted,
      waits: ({ nonce }) => {
        this.#releaseRetries.keep(nonce);
      },
      queued: ({ name }) => {
        events.contended(name);
      },
      gaveUp: (waiter, why) => void this.#gaveUp(waiter, why),
      onError,
    });
    this.#port = {
      clock,
      times: new DeadlineQueue(clock),
      renew: (request, ttlMs, generation, deadlineMs) =>
        store.renew(request, ttlMs, generation, deadlineMs).catch((error: unknown) => {
          throw backendDown(request, 'extend', error);
        }),
      heldTooLong: ({ maxHoldMs }, lock) => {
        events.heldTooLong(lock, maxHoldMs);
      },
      release: (request, isExtended) => this.#release(request, isExtended),
      ended: (request, lock, heldMs, lost) => {
        this.#held.delete(request.nonce);
        // Locks of an app that closes are given back right away.
        if (lost === undefined || lost.reason === 'closed') events.released(lock, heldMs);
        else events.lost(lock, heldMs, lost);
      },
    };
    store.onPush((pushed) => {
      this.#pushed(pushed);
    });
    store.onForced((forced) => {
      this.#wasForced(forced);
    });
    store.onResync(() => {
      this.#releaseRetries.retry();
      this.#room.resync();
    });
  }

  /** How many locks are held here. */
  get held(): number {
    return this.#held.size;
  }

  /** How many calls wait for one. */
  get waiting(): number {
    return this.#room.size;
  }

  /** Takes the lock, waiting for it. */
  wait(request: LockRequest, waitMs: number, signal: AbortSignal | undefined): Promise<Lock> {
    this.#refuseWhenClosed(request.name);
    return this.#room.wait(request, waitMs, signal);
  }

  /** Takes the lock, or answers why not. */
  async attempt<A extends AcquiredTick>(request: LockRequest, attempt: Attempt<A>): Promise<Lock | NotGranted<A>> {
    this.#refuseWhenClosed(request.name);
    this.#attempts++;
    try {
      return await this.#retry(request, attempt);
    } finally {
      if (--this.#attempts === 0) this.#attempted?.();
    }
  }

  /** Tries until there is an answer, or patience is over. */
  async #retry<A extends AcquiredTick>(request: LockRequest, attempt: Attempt<A>): Promise<Lock | NotGranted<A>> {
    const fromMs = this.#clock.monoMs();
    const untilMs = fromMs + attempt.patienceMs;
    let sent = false;
    for (;;) {
      try {
        return await this.#try(request, attempt, fromMs);
      } catch (error) {
        sent ||= !(isUnavailable(error) && error.outcome === 'not-sent');
        if (!isTransient(error) || this.#closed || this.#clock.monoMs() + RETRY_MS > untilMs) {
          // Any of the tries may have been granted without an answer, or the last was granted and cannot be used.
          if (sent) this.#releaseRetries.add(request, request.ttlMs);
          throw backendDown(request, 'acquire', error);
        }
      }
      // The same nonce again: a grant whose answer was lost is found, and is whole from this sending on.
      await new Promise<void>((resolve) => this.#clock.timer(RETRY_MS, resolve));
    }
  }

  /** Runs a body under a lock, in sight of the shutdown. */
  async run<T>(lock: Lock, body: () => T | Promise<T>): Promise<T> {
    const running = runUnder(lock, body);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Waiters leave; whoever still works under a lock is told, and has a moment to end; then all locks go back. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#room.leave((waiter) => {
      waiter.fail(closed(waiter.request.name));
      this.#leaving.push(this.#store.release(waiter.request, 0, LEAVE_DEADLINE_MS).catch(() => {}));
    });
    const stopped = this.#room.stop();
    const held = [...this.#held.values()];
    for (const lock of held) lock.close();
    if (this.#running.size > 0) await this.#grace();
    const attempted = new Promise<void>((resolve) => (this.#attempted = resolve));
    if (this.#attempts === 0) this.#attempted?.();
    await Promise.all([stopped, attempted, ...held.map((lock) => lock.release().catch(() => {}))]);
    await Promise.all(this.#leaving);
    await this.#releaseRetries.stop();
    this.#port.times.stop();
  }

  async #try<A extends AcquiredTick>(
    request: LockRequest,
    attempt: Attempt<A>,
    fromMs: number,
  ): Promise<Lock | NotGranted<A>> {
    const { name, owner, ttlMs } = request;
    const from = instantOf(this.#clock);
    const answer = await attempt.send();
    if (answer.state === 'busy') this.#events.contended(name);
    if (answer.state !== 'granted') return answer as NotGranted<A>;
    attempt.signal?.throwIfAborted();
    const at = instantOf(this.#clock);
    if (remainingMs(at, from, ttlMs) <= 0) {
      throw new LockLostError(name, 'expired', { owner, since: new Date(from.wallMs) });
    }
    return this.#hold(request, { token: answer.token, from, validMs: ttlMs, at, claimed: true }, fromMs);
  }

  #pushed(pushed: PushedGrant): void {
    if (!this.#room.pushed(pushed)) this.#unwanted(pushed.identity, pushed.validMs);
  }

  /** Granted to nobody who waits: it has left, or its request was executed late. The next one should not wait for it. */
  #unwanted(identity: LockIdentity, ttlMs: number): void {
    if (!this.#held.has(identity.nonce)) this.#releaseRetries.add(identity, ttlMs);
  }

  #wasForced(forced: ForcedRelease): void {
    const lock = this.#held.get(forced.nonce);
    if (lock === undefined) this.#earlyForceReleases.add(forced);
    else if (lock.fencingToken === forced.token) lock.forced();
  }

  /** @param fromMs when it was asked for */
  #hold(request: LockRequest, grant: LeaseGrant, fromMs: number): Lock {
    const lock = new Lock(request, grant, this.#port);
    if (this.#closed) {
      this.#leaving.push(lock.release().catch(() => {}));
      throw closed(request.name);
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

  /** A waiter's time is over. If the lock is being granted to it just now, its release passes that on. */
  async #gaveUp(waiter: Waiter, why: GaveUp): Promise<void> {
    const { request, waitMs } = waiter;
    if (why.because === 'abort') {
      waiter.fail(why.reason);
      this.#releaseRetries.add(request, request.ttlMs);
      return;
    }
    try {
      const answer = await this.#releaseNow(request, 0);
      const timeout = new LockTimeoutError(request.name, waitMs, answer.released ? undefined : answer.holder);
      this.#events.timedOut(timeout);
      waiter.fail(timeout);
    } catch (error) {
      waiter.fail(backendDown(request, 'acquire', waiter.trouble ?? error));
      this.#releaseRetries.add(request, request.ttlMs);
    }
  }

  #release(request: LockRequest, isExtended: boolean): Promise<boolean> {
    const { ttlMs, minHoldMs } = request;
    const deadlineMs = this.#closed ? LEAVE_DEADLINE_MS : undefined;
    return this.#store.release(request, isExtended || minHoldMs > 0 ? minHoldMs : 'bare', deadlineMs).then(
      (answer) => this.#passOn(request, answer),
      (error: unknown) => {
        if (isTransient(error)) this.#releaseRetries.add(request, ttlMs, minHoldMs);
        throw backendDown(request, 'release', error);
      },
    );
  }

  async #releaseNow(identity: LockIdentity, minHoldMs: number | undefined): Promise<Released> {
    const answer = await this.#store.release(identity, minHoldMs, LEAVE_DEADLINE_MS);
    this.#passOn(identity, answer);
    return answer;
  }

  #passOn({ keys }: LockIdentity, answer: Released): boolean {
    if (answer.released && answer.unsettled) void this.#room.passOn(keys);
    return answer.released;
  }

  async #grace(): Promise<void> {
    const ended = Promise.allSettled(this.#running);
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.timer(CLOSE_GRACE_MS, resolve);
      void ended.then(() => {
        cancel();
        resolve();
      });
    });
  }

  #refuseWhenClosed(name: string): void {
    if (this.#closed) throw closed(name);
  }
}

/** What may pass is told with the lock's name; anything else, a script that fails for instance, is what it is. */
function backendDown({ name }: LockRequest, action: LockUnavailableError['action'], error: unknown): unknown {
  return isTransient(error) ? new LockUnavailableError(name, action, error) : error;
}

function closed(name: string): SluiceError {
  return new SluiceError('SLUICE_CLOSED', `lock '${name}' cannot be acquired: the app is shutting down`);
}
