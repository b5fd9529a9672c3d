import type { Clock } from '../redis/index.js';
import type { LockHolder } from '../lock/index.js';
import type { LockIdentity, LockRequest } from '../lock/lock-request.js';
import type { LockKeys } from '../lock/lock.keys.js';
import type { LockStore, Pushed, Tick } from '../lock/lock.store.js';
import type { Acquired, AcquiredTick } from '../lock/scripts/acquire.reply.js';
import type { Heartbeat } from '../lock/scripts/heartbeat.script.js';
import type { Released } from '../lock/scripts/release.script.js';
import type { Waiter } from '../lock/waiter.js';

interface Held {
  readonly identity: LockIdentity;
  readonly token: number;
  readonly since: Date;
  untilMs: number;
}

/** One lock: who holds it, and who waits, first come first. */
class Mutex {
  held: Held | undefined;
  readonly queue: LockRequest[] = [];
}

/** Locks of one process, with the rules of those in Redis: leases, tokens, hand-over in the order of arrival. */
export class InProcessLockStore implements Pick<LockStore, keyof LockStore> {
  readonly #clock: Clock;
  readonly #who: string;
  readonly #mutexes = new Map<string, Mutex>();
  readonly #ticks = new Map<string, number>();
  #lastToken = 0;
  #push: (grant: Pushed) => void = () => {};

  constructor(clock: Clock, who: string) {
    this.#clock = clock;
    this.#who = who;
  }

  join(request: LockRequest): Promise<Acquired> {
    const answer = this.#acquire(request);
    const { queue } = this.#mutex(request.keys);
    if (answer.state === 'busy' && !queue.some(({ nonce }) => nonce === request.nonce)) queue.push(request);
    return Promise.resolve(answer);
  }

  attempt(request: LockRequest): Promise<Acquired> {
    return Promise.resolve(this.#acquire(request));
  }

  attemptTick(request: LockRequest, { method, instantMs }: Tick): Promise<AcquiredTick> {
    const tick = `${request.keys.lock} ${method}`;
    if ((this.#ticks.get(tick) ?? -Infinity) >= instantMs) return Promise.resolve({ state: 'done' });
    const answer = this.#acquire(request);
    if (answer.state === 'granted') this.#ticks.set(tick, instantMs);
    return Promise.resolve(answer);
  }

  heartbeat(keys: LockKeys, waiters: readonly Waiter[]): Promise<Heartbeat> {
    const mutex = this.#mutex(keys);
    this.#handOver(mutex);
    const mine = waiters.find(({ request }) => request.nonce === mutex.held?.identity.nonce);
    return Promise.resolve({
      ttlMs: mutex.held === undefined ? -2 : mutex.held.untilMs - this.#clock.monoMs(),
      fence: this.#lastToken,
      granted: mine && mutex.held ? { nonce: mine.request.nonce, token: mutex.held.token } : undefined,
      places: waiters.map(() => '0'),
    });
  }

  renew({ keys, nonce }: LockIdentity, ttl: number): Promise<boolean> {
    const { held } = this.#mutex(keys);
    if (held?.identity.nonce !== nonce) return Promise.resolve(false);
    held.untilMs = this.#clock.monoMs() + ttl;
    return Promise.resolve(true);
  }

  release({ keys, nonce }: LockIdentity): Promise<Released> {
    const mutex = this.#mutex(keys);
    if (mutex.held?.identity.nonce !== nonce) {
      const place = mutex.queue.findIndex((waiting) => waiting.nonce === nonce);
      if (place >= 0) mutex.queue.splice(place, 1);
      return Promise.resolve({ released: false, holder: this.#holder(mutex) });
    }
    mutex.held = undefined;
    this.#handOver(mutex);
    return Promise.resolve({ released: true });
  }

  onPush(pushed: (grant: Pushed) => void): void {
    this.#push = pushed;
  }

  /** Nothing is ever lost here. */
  readonly onResync = (): void => {};

  /** The lock of these keys, as of now: an expired lease has ended. */
  #mutex({ lock }: LockKeys): Mutex {
    let mutex = this.#mutexes.get(lock);
    if (!mutex) this.#mutexes.set(lock, (mutex = new Mutex()));
    if (mutex.held && mutex.held.untilMs <= this.#clock.monoMs()) mutex.held = undefined;
    return mutex;
  }

  /** In one turn of the event loop, as a script is one step. */
  #acquire(request: LockRequest): Acquired {
    const mutex = this.#mutex(request.keys);
    const { held } = mutex;
    if (held?.identity.nonce === request.nonce) return { state: 'granted', token: held.token };
    if (held === undefined && mutex.queue.length === 0) {
      return { state: 'granted', token: this.#grant(mutex, request).token };
    }
    const ttlMs = held === undefined ? -2 : held.untilMs - this.#clock.monoMs();
    return { state: 'busy', ttlMs, fence: this.#lastToken, holder: this.#holder(mutex), place: '0' };
  }

  #handOver(mutex: Mutex): void {
    const next = mutex.held === undefined ? mutex.queue.shift() : undefined;
    if (next === undefined) return;
    const { identity, token } = this.#grant(mutex, next);
    queueMicrotask(() => {
      this.#push({ identity, token, validMs: next.ttlMs });
    });
  }

  #grant(mutex: Mutex, identity: LockRequest): Held {
    const token = (this.#lastToken = Math.max(this.#lastToken + 1, Math.floor(this.#clock.wallMs() * 1_000)));
    const since = new Date(this.#clock.wallMs());
    return (mutex.held = { identity, token, since, untilMs: this.#clock.monoMs() + identity.ttlMs });
  }

  #holder({ held }: Mutex): LockHolder | undefined {
    return held && { owner: held.identity.owner, process: this.#who, since: held.since };
  }
}
