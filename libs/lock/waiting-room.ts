import { Loop, type Clock } from '../redis/index.js';
import { isTransient } from './give-back.js';
import { instantOf, type Instant } from './instant.js';
import type { LockRequest } from './lock-request.js';
import type { LockKeys } from './lock.keys.js';
import type { Grant } from './lock.js';
import type { LockStore } from './lock.store.js';
import type { Acquired } from './scripts/acquire.reply.js';
import type { Heartbeat } from './scripts/heartbeat.script.js';
import { Waiter, type GaveUp } from './waiter.js';

/** Three of these missed, and a waiter is passed over (`WAITER_SILENT_MS`). */
const HEARTBEAT_MS = 1_000;
/** Heartbeats due within this are sent together, so that a process' locks fall into step. */
const IN_STEP_MS = 250;
/** After a request that failed. */
const RETRY_MS = 100;
/** At most so many waiters in one heartbeat: a script must not hold up the server. */
const WAITERS_PER_CALL = 256;

/** The waiters of this process on one lock. */
interface Line {
  readonly keys: LockKeys;
  readonly waiters: Map<string, Waiter>;
  heartbeatAtMs: number;
  /** When the holder's lease ends, as far as known. */
  expiryAtMs: number;
}

/** Who is told what the callers of `wait` are not. */
export interface WaitingRoomListener {
  /** It was granted the lock, but waits here no more. */
  unwanted: (request: LockRequest) => void;
  /** It has to wait. */
  queued: (request: LockRequest) => void;
  onError: (error: unknown, name: string) => void;
}

/**
 * Everyone in this process who waits for a lock.
 *
 * Waiting costs nothing but a heartbeat per second and lock: grants are pushed. The heartbeat is sent besides when the
 * holder's lease should end, when the inbox was subscribed anew and when the connection is back, so nothing
 * depends on a message that may be lost.
 */
export class WaitingRoom {
  readonly #store: Pick<LockStore, 'join' | 'heartbeat'>;
  readonly #told: WaitingRoomListener;
  readonly #clock: Clock;
  readonly #lines = new Map<string, Line>();
  readonly #waiters = new Map<string, Waiter>();
  readonly #loop: Loop;
  /** When the loop looks again by itself. What a turn in progress misses, its end sees. */
  #nextTurnMs = Infinity;

  constructor(clock: Clock, store: Pick<LockStore, 'join' | 'heartbeat'>, told: WaitingRoomListener) {
    this.#clock = clock;
    this.#store = store;
    this.#told = told;
    const { onError } = told;
    this.#loop = new Loop({ name: 'lock heartbeat', turn: () => this.#turn(), onError, clock });
  }

  /** How many wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** Acquires the lock, waiting if it must. `giveUp` gets a waiter whose time is over: it has left, and is to be failed. */
  wait(
    request: LockRequest,
    waitMs: number,
    signal: AbortSignal | undefined,
    giveUp: (waiter: Waiter, why: GaveUp) => void,
  ): Promise<Grant> {
    const sent = instantOf(this.#clock);
    const waiter = new Waiter(request, this.#clock, sent);
    // Known before the request leaves: a push may be faster than the reply.
    this.#waiters.set(request.nonce, waiter);
    waiter.limit(waitMs, signal, (why) => {
      waiter.leave();
      this.#forget(waiter);
      giveUp(waiter, why);
    });
    this.#store.join(request).then(
      (acquired) => {
        this.#acquired(waiter, sent, acquired);
      },
      (error: unknown) => {
        this.#troubled([waiter], error);
      },
    );
    return waiter.granted;
  }

  /** A grant was pushed. False if no such acquisition waits here. */
  pushed(nonce: string, token: number, validMs: number): boolean {
    const waiter = this.#waiters.get(nonce);
    if (waiter === undefined) return false;
    if (waiter.pushed(token, validMs)) this.#forget(waiter);
    else this.#ask(waiter, 0);
    return true;
  }

  /** Messages may have been lost, or answers: ask for everyone. */
  resync(): void {
    for (const line of this.#lines.values()) line.heartbeatAtMs = 0;
    this.#loop.wake();
  }

  /** Nobody waits any longer. Returns who did; they are to be failed. */
  leave(): Waiter[] {
    const left = [...this.#waiters.values()];
    for (const waiter of left) {
      waiter.leave();
      this.#forget(waiter);
    }
    return left;
  }

  /** No heartbeat is sent any more; resolves when the last was answered. */
  async stop(): Promise<void> {
    await this.#loop.stop();
  }

  #acquired(waiter: Waiter, sent: Instant, acquired: Acquired): void {
    if (!waiter.waiting) {
      // It left meanwhile, and its release was faster: a server that did not know the script was asked twice.
      if (acquired.state === 'granted') this.#told.unwanted(waiter.request);
      return;
    }
    if (acquired.state === 'granted') {
      if (waiter.answered(acquired.token, sent)) this.#forget(waiter);
      else this.#ask(waiter, RETRY_MS);
      return;
    }
    this.#told.queued(waiter.request);
    waiter.place = acquired.place;
    if (!waiter.stillWaiting(sent, acquired.fence)) return;
    this.#join(waiter, { heartbeatAtMs: sent.monoMs + HEARTBEAT_MS, expiryAtMs: this.#expiry(acquired.ttlMs) });
  }

  #troubled(waiters: readonly Waiter[], error: unknown): void {
    for (const waiter of waiters) {
      if (!waiter.waiting) continue;
      if (isTransient(error)) {
        if (waiter.troubled(error)) this.#ask(waiter, RETRY_MS);
      } else {
        this.#forget(waiter);
        waiter.fail(error);
      }
    }
  }

  #ask(waiter: Waiter, inMs: number): void {
    this.#join(waiter, { heartbeatAtMs: this.#clock.monoMs() + inMs, expiryAtMs: Infinity });
  }

  #join(waiter: Waiter, due: { heartbeatAtMs: number; expiryAtMs: number }): void {
    const { keys, nonce } = waiter.request;
    let line = this.#lines.get(keys.lock);
    if (line === undefined) {
      line = { keys, waiters: new Map(), ...due };
      this.#lines.set(keys.lock, line);
    }
    line.waiters.set(nonce, waiter);
    line.heartbeatAtMs = Math.min(line.heartbeatAtMs, due.heartbeatAtMs);
    line.expiryAtMs = Math.min(line.expiryAtMs, due.expiryAtMs);
    this.#loop.start();
    if (Math.min(due.heartbeatAtMs, due.expiryAtMs) < this.#nextTurnMs) this.#loop.wake();
  }

  #forget(waiter: Waiter): void {
    const { keys, nonce } = waiter.request;
    this.#waiters.delete(nonce);
    const line = this.#lines.get(keys.lock);
    line?.waiters.delete(nonce);
    if (line?.waiters.size === 0) this.#lines.delete(keys.lock);
  }

  #expiry(ttlMs: number): number {
    if (ttlMs === -1) return Infinity;
    // Redis keeps a key through its last millisecond.
    return this.#clock.monoMs() + Math.max(0, ttlMs) + 1;
  }

  async #turn(): Promise<number | undefined> {
    const now = this.#clock.monoMs();
    const due = [...this.#lines.values()].filter(
      (line) => line.heartbeatAtMs <= now + IN_STEP_MS || line.expiryAtMs <= now,
    );
    // Nothing in step goes out early on its own: the first that is really due takes the others along.
    const urgent = due.some((line) => line.heartbeatAtMs <= now || line.expiryAtMs <= now);
    if (urgent) await Promise.all(due.map((line) => this.#beat(line)));
    this.#nextTurnMs = Infinity;
    for (const line of this.#lines.values()) {
      this.#nextTurnMs = Math.min(this.#nextTurnMs, line.heartbeatAtMs, line.expiryAtMs);
    }
    return this.#nextTurnMs === Infinity ? undefined : Math.max(1, Math.ceil(this.#nextTurnMs - this.#clock.monoMs()));
  }

  async #beat(line: Line): Promise<void> {
    line.heartbeatAtMs = this.#clock.monoMs() + HEARTBEAT_MS;
    line.expiryAtMs = Infinity;
    const all = [...line.waiters.values()];
    for (let i = 0; i < all.length; i += WAITERS_PER_CALL) {
      // Some may have been granted the lock, or have left, while the others were asked about.
      const waiters = all.slice(i, i + WAITERS_PER_CALL).filter((waiter) => waiter.waiting);
      const sent = instantOf(this.#clock);
      try {
        this.#beaten(line, waiters, sent, await this.#store.heartbeat(line.keys, waiters));
      } catch (error) {
        this.#troubled(waiters, error);
      }
    }
  }

  #beaten(line: Line, waiters: readonly Waiter[], sent: Instant, answer: Heartbeat): void {
    line.expiryAtMs = this.#expiry(answer.ttlMs);
    const { granted } = answer;
    waiters.forEach((waiter, i) => {
      if (!waiter.waiting || waiter.request.nonce === granted?.nonce) return;
      waiter.place = answer.places[i] ?? waiter.place;
      waiter.stillWaiting(sent, answer.fence);
    });
    const waiter = waiters.find(({ request }) => request.nonce === granted?.nonce);
    if (granted === undefined || waiter === undefined) return;
    if (!waiter.waiting) this.#told.unwanted(waiter.request);
    else if (waiter.answered(granted.token, sent)) this.#forget(waiter);
    else this.#ask(waiter, RETRY_MS);
  }
}
