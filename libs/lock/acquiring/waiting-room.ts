import { Loop, instantOf, isUnavailable, remainingMs, type Clock, type Instant } from '../../redis/index.js';
import type { LeaseGrant } from '../held/lease.js';
import type { LockIdentity, LockRequest } from '../store/lock-request.js';
import type { Lock } from '../held/lock.js';
import type { LockKeys } from '../store/lock.keys.js';
import type { LockStore, PushedGrant } from '../store/lock.store.js';
import type { Acquired } from '../store/scripts/acquire.reply.js';
import type { Heartbeat } from '../store/scripts/heartbeat.script.js';
import { heartbeatCalls, type HeartbeatPortion, type LockWaiters } from './heartbeat-calls.js';
import { ANSWER_MS, Waiter, type GaveUp } from './waiter.js';

/** The time between two heartbeats, in milliseconds. A waiter that misses three of them is skipped (`WAITER_SILENT_MS`). */
const HEARTBEAT_MS = 1_000;
/** The pause after a request that failed, or whose grant came too late, in milliseconds. */
const RETRY_MS = 100;
/** How much sooner a push may arrive than the answer to the request that caused the push, in milliseconds. */
const EARLY_MS = 1_000;

type WaitingRoomStore = Pick<LockStore, 'join' | 'heartbeat' | 'together'>;

/** Receives reports about the calls that wait. */
export interface WaitingRoomListener {
  /** Redis granted the lock to the waiter of this request. The waiter's caller gets the returned lock. */
  granted(request: LockRequest, grant: LeaseGrant, askedAtMs: number): Lock;
  /** Redis granted, or may have granted, the lock to an acquisition that does not wait in this room any more. */
  unwanted(identity: LockIdentity, ttlMs: number): void;
  /** The request waits in this room from now on, until the lock is granted or the waiter fails. */
  waits(request: LockRequest): void;
  /** Redis put the request into the queue of its lock. */
  queued(request: LockRequest): void;
  /** The waiter's time is over, or its signal has aborted. The waiter has left, and the listener must fail it. */
  gaveUp(waiter: Waiter, why: GaveUp): void;
  onError(error: unknown, name: string): void;
}

/**
 * All calls of this process that wait for a lock.
 *
 * Waiting costs **one heartbeat per second and process**, whatever the number of locks: grants are pushed. Redis is also
 * asked when a holder's lease should end, when the inbox has subscribed again and when the connection is back, so nothing
 * depends on a message that may be lost.
 *
 * @see docs/internals/lock.md#a-waiter
 */
export class WaitingRoom {
  readonly #store: WaitingRoomStore;
  readonly #listener: WaitingRoomListener;
  readonly #clock: Clock;
  readonly #waitersOf = new Map<string, LockWaiters>();
  readonly #waiters = new Map<string, Waiter>();
  /** How many requests are not answered yet. */
  #joining = 0;
  #joined: (() => void) | undefined;
  /** Pushes that arrived before the answer to their request, by nonce. */
  readonly #early = new Map<string, PushedGrant>();
  #leaving: ((waiter: Waiter) => void) | undefined;
  readonly #loop: Loop;
  #heartbeatAtMs = Infinity;
  /** When the next turn begins by itself. Each turn computes this time at its end, and so regards changes during the turn. */
  #nextTurnMs = Infinity;

  constructor(clock: Clock, store: WaitingRoomStore, listener: WaitingRoomListener) {
    this.#clock = clock;
    this.#store = store;
    this.#listener = listener;
    this.#loop = new Loop({
      name: 'lock heartbeat',
      turn: () => this.#turn(),
      onError: (error, name) => {
        listener.onError(error, name);
      },
      clock,
    });
  }

  /** How many calls wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** Acquires the lock. Waits if the lock is not free. */
  wait(request: LockRequest, waitMs: number, signal: AbortSignal | undefined): Promise<Lock> {
    const sent = instantOf(this.#clock);
    // Most requests are granted at once and never become waiters. A request with a signal is a waiter before its answer comes.
    const early = signal === undefined ? undefined : this.#enter(request, waitMs, sent, signal);
    this.#joining++;
    const joined = this.#store.join(request, waitMs + ANSWER_MS).then(
      (acquired) => {
        this.#answered();
        if (early === undefined && acquired.state === 'granted') {
          const at = instantOf(this.#clock);
          const { token, text } = acquired;
          const grant = { token, text, from: sent, validMs: request.ttlMs, at, claimed: true };
          if (remainingMs(at, sent, grant.validMs) > 0) return this.#listener.granted(request, grant, sent.monoMs);
        }
        const waiter = early ?? this.#enter(request, waitMs, sent);
        this.#acquired(waiter, sent, acquired);
        this.#catchUp(waiter);
        return waiter.granted;
      },
      (error: unknown) => {
        this.#answered();
        const waiter = early ?? this.#enter(request, waitMs, sent);
        this.#troubled([waiter], error);
        this.#catchUp(waiter);
        return waiter.granted;
      },
    );
    if (early === undefined) return joined;
    joined.catch(() => {});
    return early.granted;
  }

  /** A grant was pushed. Returns false if the acquisition does not wait in this room, and no request is without its answer. */
  pushed(pushed: PushedGrant): boolean {
    const { nonce } = pushed.identity;
    const waiter = this.#waiters.get(nonce);
    if (waiter !== undefined) {
      if (waiter.pushed(pushed.token, pushed.validMs)) this.#forget(waiter);
      else this.#ask(waiter, 0);
      return true;
    }
    if (this.#joining === 0) return false;
    this.#early.set(nonce, pushed);
    this.#clock.timer(EARLY_MS, () => {
      if (this.#early.delete(nonce)) this.#listener.unwanted(pushed.identity, pushed.validMs);
    });
    return true;
  }

  /** Messages or answers may have been lost, so the next turn asks about every lock. */
  resync(): void {
    this.#heartbeatAtMs = 0;
    this.#loop.wake();
  }

  /** Goes on looking for the next live waiter of a released lock. Without this call, the waiters' next heartbeat would do so. */
  async handOn(keys: LockKeys): Promise<void> {
    try {
      while ((await this.#store.heartbeat(() => [{ keys, waiters: [] }]))[0]?.unsettled === true);
    } catch (error) {
      if (!isUnavailable(error)) this.#listener.onError(error, 'lock hand-over');
    }
  }

  /** All waiters leave. `left` is called with each waiter, even if its first answer comes later, and must fail the waiter. */
  leave(left: (waiter: Waiter) => void): void {
    this.#leaving = left;
    for (const waiter of [...this.#waiters.values()]) this.#expel(waiter, left);
  }

  /** Stops the heartbeats. Resolves when every request has been answered or has failed. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    if (this.#joining > 0) await new Promise<void>((resolve) => (this.#joined = resolve));
  }

  #answered(): void {
    if (--this.#joining === 0) this.#joined?.();
  }

  #enter(request: LockRequest, waitMs: number, sent: Instant, signal?: AbortSignal): Waiter {
    const waiter = new Waiter(request, this.#clock, sent, waitMs, (grant) =>
      this.#listener.granted(request, grant, sent.monoMs),
    );
    this.#waiters.set(request.nonce, waiter);
    this.#listener.waits(request);
    waiter.limit(signal, (why) => {
      waiter.leave();
      this.#forget(waiter);
      this.#listener.gaveUp(waiter, why);
    });
    return waiter;
  }

  #expel(waiter: Waiter, left: (waiter: Waiter) => void): void {
    waiter.leave();
    this.#forget(waiter);
    left(waiter);
  }

  /** Handles a push, an end of the wait or a shutdown that came before the answer to the waiter's first request. */
  #catchUp(waiter: Waiter): void {
    const { nonce } = waiter.request;
    const pushed = this.#early.get(nonce);
    this.#early.delete(nonce);
    if (!waiter.waiting) {
      if (pushed !== undefined) this.#listener.unwanted(pushed.identity, pushed.validMs);
    } else if (this.#leaving !== undefined) this.#expel(waiter, this.#leaving);
    else if (pushed !== undefined) this.pushed(pushed);
  }

  #acquired(waiter: Waiter, sent: Instant, acquired: Acquired): void {
    if (!waiter.waiting) {
      // The waiter's release may have overtaken its request, because a server that does not know the script gets the request
      // twice. Then this waiter still has the lock, or a place in the queue.
      this.#listener.unwanted(waiter.request, waiter.request.ttlMs);
      return;
    }
    if (acquired.state === 'granted') {
      if (waiter.answered(acquired.token, sent)) this.#forget(waiter);
      else this.#ask(waiter, RETRY_MS);
      return;
    }
    this.#listener.queued(waiter.request);
    waiter.place = acquired.place;
    if (waiter.stillWaiting(sent, acquired.fence)) this.#join(waiter, this.#expiry(acquired.ttlMs));
  }

  #troubled(waiters: readonly Waiter[], error: unknown): void {
    for (const waiter of waiters) {
      if (!waiter.waiting) continue;
      if (isUnavailable(error)) {
        if (waiter.troubled(error)) this.#ask(waiter, RETRY_MS);
      } else {
        this.#forget(waiter);
        waiter.fail(error);
        // The waiter may still have its place in the queue, and Redis may have granted a request that got no answer.
        this.#listener.unwanted(waiter.request, waiter.request.ttlMs);
      }
    }
  }

  #ask(waiter: Waiter, inMs: number): void {
    this.#join(waiter, this.#clock.monoMs() + inMs);
  }

  #join(waiter: Waiter, askAtMs: number): void {
    const { keys, nonce } = waiter.request;
    if (this.#waitersOf.size === 0) this.#heartbeatAtMs = this.#clock.monoMs() + HEARTBEAT_MS;
    let entry = this.#waitersOf.get(keys.lock);
    if (entry === undefined) this.#waitersOf.set(keys.lock, (entry = { keys, waiters: new Map(), askAtMs: Infinity }));
    entry.waiters.set(nonce, waiter);
    entry.askAtMs = Math.min(entry.askAtMs, askAtMs);
    this.#loop.start();
    if (Math.min(entry.askAtMs, this.#heartbeatAtMs) < this.#nextTurnMs) this.#loop.wake();
  }

  #forget(waiter: Waiter): void {
    const { keys, nonce } = waiter.request;
    this.#waiters.delete(nonce);
    const entry = this.#waitersOf.get(keys.lock);
    entry?.waiters.delete(nonce);
    if (entry?.waiters.size === 0) this.#waitersOf.delete(keys.lock);
  }

  #expiry(ttlMs: number): number {
    if (ttlMs === -1) return Infinity;
    // Redis keeps a key through its last millisecond.
    return this.#clock.monoMs() + Math.max(0, ttlMs) + 1;
  }

  async #turn(): Promise<number | undefined> {
    const now = this.#clock.monoMs();
    const heartbeat = this.#heartbeatAtMs <= now;
    if (heartbeat) this.#heartbeatAtMs = now + HEARTBEAT_MS;
    await this.#beat([...this.#waitersOf.values()].filter((entry) => heartbeat || entry.askAtMs <= now));
    this.#nextTurnMs = this.#waitersOf.size === 0 ? Infinity : this.#heartbeatAtMs;
    for (const entry of this.#waitersOf.values()) this.#nextTurnMs = Math.min(this.#nextTurnMs, entry.askAtMs);
    return this.#nextTurnMs === Infinity ? undefined : Math.max(1, Math.ceil(this.#nextTurnMs - this.#clock.monoMs()));
  }

  /**
   * The calls run one after the other, so that the server can serve other clients in between. A server that knows slots gets one
   * script per slot instead of one per call. Those of a call leave in one write.
   */
  async #beat(entries: readonly LockWaiters[]): Promise<void> {
    for (const entry of entries) entry.askAtMs = Infinity;
    let failed: { error: unknown } | undefined;
    for (const call of heartbeatCalls(entries)) {
      const parts = this.#store.together(call, ({ entry }) => entry.keys);
      const ends = await Promise.all(parts.map((part) => this.#call(part, failed)));
      failed ??= ends.find((end) => end !== undefined);
    }
  }

  /** Asks about several locks at once. If Redis is away, resolves to the error. */
  async #call(call: readonly HeartbeatPortion[], failed?: { error: unknown }): Promise<{ error: unknown } | undefined> {
    // Some waiters may have been granted their lock, or have left, during the earlier calls, or since this call was first sent.
    let waiting: { keys: LockKeys; waiters: Waiter[] }[] = [];
    const stillWaiting = () =>
      (waiting = call.map(({ entry: { keys }, waiters }) => {
        return { keys, waiters: waiters.filter((waiter) => waiter.waiting) };
      }));
    const sent = instantOf(this.#clock);
    try {
      if (failed) throw failed.error;
      const answers = await this.#store.heartbeat(stillWaiting);
      call.forEach(({ entry }, i) => {
        const [answer, asked] = [answers[i], waiting[i]];
        if (answer && asked) this.#beaten(entry, asked.waiters, sent, answer);
      });
    } catch (error) {
      if (call.length > 1 && !isUnavailable(error)) {
        // One of these locks cannot be asked about, for example because its key holds a hash. Only its own waiters must fail.
        for (const portion of call) await this.#call([portion]);
        return undefined;
      }
      for (const { waiters } of call) this.#troubled(waiters, error);
      // Redis is away: the other calls of this turn would only wait for their deadlines.
      if (isUnavailable(error)) return { error };
    }
    return undefined;
  }

  #beaten(entry: LockWaiters, waiters: readonly Waiter[], sent: Instant, answer: Heartbeat): void {
    entry.askAtMs = Math.min(entry.askAtMs, answer.unsettled ? 0 : this.#expiry(answer.ttlMs));
    const { granted } = answer;
    waiters.forEach((waiter, i) => {
      if (!waiter.waiting || waiter.request.nonce === granted?.nonce) return;
      waiter.place = answer.places[i] ?? waiter.place;
      waiter.stillWaiting(sent, answer.fence);
    });
    const waiter = waiters.find(({ request }) => request.nonce === granted?.nonce);
    if (granted === undefined || waiter === undefined) return;
    if (!waiter.waiting) this.#listener.unwanted(waiter.request, waiter.request.ttlMs);
    else if (waiter.answered(granted.token, sent)) this.#forget(waiter);
    else this.#ask(waiter, RETRY_MS);
  }
}
