import { Loop, isTransient, type Clock } from '../../redis/index.js';
import { instantOf, remainingMs, type Instant } from '../../redis/time/instant.js';
import type { LeaseGrant } from '../held/lease.js';
import type { LockIdentity, LockRequest } from '../store/lock-request.js';
import type { Lock } from '../held/lock.js';
import type { LockKeys } from '../store/lock.keys.js';
import type { LockStore, PushedGrant } from '../store/lock.store.js';
import type { Acquired } from '../store/scripts/acquire.reply.js';
import type { Heartbeat } from '../store/scripts/heartbeat.script.js';
import { ANSWER_MS, Waiter, type GaveUp } from './waiter.js';

/** Three of these missed, and a waiter is passed over (`WAITER_SILENT_MS`). */
const HEARTBEAT_MS = 1_000;
/** After a request that failed. */
const RETRY_MS = 100;
/** At most so many waiters, and locks, in one heartbeat: a script must not hold up the server. */
const WAITERS_PER_CALL = 256;
const LOCKS_PER_CALL = 128;
/** How long a push may be faster than the answer to the request that caused it. */
const EARLY_MS = 1_000;

/** The waiters of this process on one lock. */
interface LockWaiters {
  readonly keys: LockKeys;
  readonly waiters: Map<string, Waiter>;
  /** When to ask besides the heartbeat: the holder's lease ends, as far as known; a request failed. */
  askAtMs: number;
}

/** Who is told what becomes of those that wait. */
export interface WaitingRoomListener {
  /** It is granted the lock. What this answers is what its caller gets. */
  granted: (request: LockRequest, grant: LeaseGrant, askedAtMs: number) => Lock;
  /** It was granted the lock, but waits here no more. */
  unwanted: (identity: LockIdentity, ttlMs: number) => void;
  /** It waits here from now on, until it is granted the lock or fails. */
  waits: (request: LockRequest) => void;
  /** It was told to wait. */
  queued: (request: LockRequest) => void;
  /** Its time is over: it has left, and is to be failed. */
  gaveUp: (waiter: Waiter, why: GaveUp) => void;
  onError: (error: unknown, name: string) => void;
}

/**
 * Everyone in this process who waits for a lock.
 *
 * Waiting costs nothing but **one heartbeat per second and process**, whatever the number of locks: grants are pushed. A lock is
 * asked about besides when its holder's lease should end, when the inbox was subscribed anew and when the connection is
 * back, so nothing depends on a message that may be lost.
 */
export class WaitingRoom {
  readonly #store: Pick<LockStore, 'join' | 'heartbeat'>;
  readonly #listener: WaitingRoomListener;
  readonly #clock: Clock;
  readonly #lines = new Map<string, LockWaiters>();
  readonly #waiters = new Map<string, Waiter>();
  /** Requests that were not answered yet: nothing is known of them here but their number. */
  #joining = 0;
  #joined: (() => void) | undefined;
  /** Pushes for them that were faster than the answer. */
  readonly #early = new Map<string, PushedGrant>();
  #leaving: ((waiter: Waiter) => void) | undefined;
  readonly #loop: Loop;
  #heartbeatAtMs = Infinity;
  /** When the loop looks again by itself. What a turn in progress misses, its end sees. */
  #nextTurnMs = Infinity;

  constructor(clock: Clock, store: Pick<LockStore, 'join' | 'heartbeat'>, listener: WaitingRoomListener) {
    this.#clock = clock;
    this.#store = store;
    this.#listener = listener;
    const { onError } = listener;
    this.#loop = new Loop({ name: 'lock heartbeat', turn: () => this.#turn(), onError, clock });
  }

  /** How many wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** Acquires the lock, waiting if it must. */
  wait(request: LockRequest, waitMs: number, signal: AbortSignal | undefined): Promise<Lock> {
    const sent = instantOf(this.#clock);
    // Most are granted at once and never become waiters. One that can be called off has to be one before the answer.
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

  /** A grant was pushed. False if no such acquisition waits here. */
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

  /** Messages may have been lost, or answers: ask for everyone. */
  resync(): void {
    this.#heartbeatAtMs = 0;
    this.#loop.wake();
  }

  /** Goes on looking for the next live waiter of a lock that was let go of. Its waiters would do so, within a heartbeat. */
  async passOn(keys: LockKeys): Promise<void> {
    try {
      while ((await this.#store.heartbeat([{ keys, waiters: [] }]))[0]?.unsettled === true);
    } catch (error) {
      if (!isTransient(error)) this.#listener.onError(error, 'lock pass-on');
    }
  }

  /** Nobody waits any longer; `left` gets whoever did, also those that are only now found to, and is to fail them. */
  leave(left: (waiter: Waiter) => void): void {
    this.#leaving = left;
    for (const waiter of [...this.#waiters.values()]) this.#expel(waiter, left);
  }

  /** No heartbeat is sent any more; resolves when the last was answered, and all that was asked for. */
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

  /** What happened while its answer was on the way. */
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
      // It left meanwhile, and its release was faster: a server that did not know the script was asked twice.
      if (acquired.state === 'granted') this.#listener.unwanted(waiter.request, waiter.request.ttlMs);
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
      if (isTransient(error)) {
        if (waiter.troubled(error)) this.#ask(waiter, RETRY_MS);
      } else {
        this.#forget(waiter);
        waiter.fail(error);
      }
    }
  }

  #ask(waiter: Waiter, inMs: number): void {
    this.#join(waiter, this.#clock.monoMs() + inMs);
  }

  #join(waiter: Waiter, askAtMs: number): void {
    const { keys, nonce } = waiter.request;
    if (this.#lines.size === 0) this.#heartbeatAtMs = this.#clock.monoMs() + HEARTBEAT_MS;
    let line = this.#lines.get(keys.lock);
    if (line === undefined) this.#lines.set(keys.lock, (line = { keys, waiters: new Map(), askAtMs: Infinity }));
    line.waiters.set(nonce, waiter);
    line.askAtMs = Math.min(line.askAtMs, askAtMs);
    this.#loop.start();
    if (Math.min(line.askAtMs, this.#heartbeatAtMs) < this.#nextTurnMs) this.#loop.wake();
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
    const heartbeat = this.#heartbeatAtMs <= now;
    if (heartbeat) this.#heartbeatAtMs = now + HEARTBEAT_MS;
    await this.#beat([...this.#lines.values()].filter((line) => heartbeat || line.askAtMs <= now));
    this.#nextTurnMs = this.#lines.size === 0 ? Infinity : this.#heartbeatAtMs;
    for (const line of this.#lines.values()) this.#nextTurnMs = Math.min(this.#nextTurnMs, line.askAtMs);
    return this.#nextTurnMs === Infinity ? undefined : Math.max(1, Math.ceil(this.#nextTurnMs - this.#clock.monoMs()));
  }

  /** One call after the other: whatever their number, the server does something else in between. */
  async #beat(lines: readonly LockWaiters[]): Promise<void> {
    for (const line of lines) line.askAtMs = Infinity;
    let failed: { error: unknown } | undefined;
    for (const call of calls(lines)) {
      // Some may have been granted the lock, or have left, while the others were asked about.
      const waiting = call.map(({ line: { keys }, waiters }) => {
        return { keys, waiters: waiters.filter((waiter) => waiter.waiting) };
      });
      const sent = instantOf(this.#clock);
      try {
        if (failed) throw failed.error;
        const answers = await this.#store.heartbeat(waiting);
        call.forEach(({ line }, i) => {
          const [answer, asked] = [answers[i], waiting[i]];
          if (answer && asked) this.#beaten(line, asked.waiters, sent, answer);
        });
      } catch (error) {
        // Redis is away: the others of this turn would only wait for that as well.
        if (isTransient(error)) failed = { error };
        for (const { waiters } of waiting) this.#troubled(waiters, error);
      }
    }
  }

  #beaten(line: LockWaiters, waiters: readonly Waiter[], sent: Instant, answer: Heartbeat): void {
    line.askAtMs = Math.min(line.askAtMs, answer.unsettled ? 0 : this.#expiry(answer.ttlMs));
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

interface HeartbeatPortion {
  readonly line: LockWaiters;
  readonly waiters: Waiter[];
}

/** The waiters of these lines, in portions of which each is one call. */
function* calls(lines: readonly LockWaiters[]): Generator<HeartbeatPortion[]> {
  let call: HeartbeatPortion[] = [];
  let room = WAITERS_PER_CALL;
  for (const line of lines) {
    const all = [...line.waiters.values()];
    for (let i = 0; i < all.length;) {
      const waiters = all.slice(i, i + room);
      call.push({ line, waiters });
      i += waiters.length;
      room -= waiters.length;
      if (room > 0 && call.length < LOCKS_PER_CALL) continue;
      yield call;
      call = [];
      room = WAITERS_PER_CALL;
    }
  }
  if (call.length > 0) yield call;
}
