import type { Clock } from '../../redis/index.js';
import type { LockHolder } from '../../lock/index.js';
import type { LockIdentity, LockRequest } from '../../lock/store/lock-request.js';
import type { LockKeys } from '../../lock/store/lock.keys.js';
import type {
  FencedKey,
  FencedWrite,
  ForcedRelease,
  LockStore,
  PushedGrant,
  Tick,
  WaitersOfLock,
} from '../../lock/store/lock.store.js';
import type { Acquired, AcquiredTick } from '../../lock/store/scripts/acquire.reply.js';
import type { Heartbeat } from '../../lock/store/scripts/heartbeat.script.js';
import type { Inspected } from '../../lock/store/scripts/inspect.script.js';
import type { Released } from '../../lock/store/scripts/release.script.js';

interface Held {
  readonly identity: Pick<LockIdentity, 'nonce' | 'owner'>;
  /** Missing if the lock was taken by the plain recipe. */
  readonly token?: number;
  readonly since: Date;
  /** The same on the monotonic clock. */
  readonly sinceMs: number;
  untilMs: number;
  /** The number of the last extension. A renewal that was requested before it changes nothing. */
  generation: number;
  /** True if the holder has released the lock, but the lock stays held for some more time. */
  readonly released?: true;
}

/** One lock: its holder and its waiters, in the order of their arrival. */
class Mutex {
  held: Held | undefined;
  readonly queue: { readonly request: LockRequest; readonly sinceMs: number }[] = [];
}

/** Locks of one process, with the rules of those in Redis: leases, tokens, hand-over in the order of arrival. */
export class InProcessLockStore implements Pick<LockStore, keyof LockStore> {
  readonly #clock: Clock;
  readonly #who: string;
  readonly #mutexes = new Map<string, Mutex>();
  /** The last instant taken for a method of a lock. */
  readonly #ticks = new Map<string, { instantMs: number; nonce: string; begun: boolean }>();
  readonly #fenced = new Map<string, number>();
  #lastToken = 0;
  #push: (grant: PushedGrant) => void = () => {};
  #forced: (what: ForcedRelease) => void = () => {};

  constructor(clock: Clock, who: string) {
    this.#clock = clock;
    this.#who = who;
  }

  join(request: LockRequest): Promise<Acquired> {
    const answer = this.#acquire(request);
    const { queue } = this.#mutex(request.keys);
    if (answer.state === 'busy' && !queue.some((waiting) => waiting.request.nonce === request.nonce)) {
      queue.push({ request, sinceMs: this.#clock.wallMs() });
    }
    return Promise.resolve(answer);
  }

  attempt(request: LockRequest): Promise<Acquired> {
    return Promise.resolve(this.#acquire(request));
  }

  attemptTick(request: LockRequest, { method, instantMs }: Tick): Promise<AcquiredTick> {
    const name = `${request.keys.lock} ${method}`;
    const mark = this.#ticks.get(name);
    const { held } = this.#mutex(request.keys);
    if (mark !== undefined && mark.instantMs >= instantMs && held?.identity.nonce !== request.nonce) {
      if (mark.begun || mark.instantMs > instantMs) return Promise.resolve({ state: 'done' });
      if (held?.identity.nonce === mark.nonce) return Promise.resolve({ state: 'pending' });
    }
    const answer = this.#acquire(request);
    if (answer.state === 'granted' && mark?.nonce !== request.nonce) {
      this.#ticks.set(name, { instantMs, nonce: request.nonce, begun: false });
    }
    return Promise.resolve(answer);
  }

  beginTick({ keys, nonce }: LockRequest, { method }: Tick): Promise<boolean> {
    const mark = this.#ticks.get(`${keys.lock} ${method}`);
    if (mark?.nonce !== nonce || this.#mutex(keys).held?.identity.nonce !== nonce) return Promise.resolve(false);
    mark.begun = true;
    return Promise.resolve(true);
  }

  together<T>(items: readonly T[]): readonly (readonly T[])[] {
    return items.length === 0 ? [] : [items];
  }

  heartbeat(waiting: () => readonly WaitersOfLock[]): Promise<Heartbeat[]> {
    return Promise.resolve(waiting().map((each) => this.#beat(each)));
  }

  renew({ keys, nonce }: LockIdentity, ttl: number, generation: number): Promise<boolean> {
    const { held } = this.#mutex(keys);
    if (held?.identity.nonce !== nonce || held.released) return Promise.resolve(false);
    if (generation >= held.generation) {
      held.untilMs = this.#clock.monoMs() + ttl;
      held.generation = generation;
    }
    return Promise.resolve(true);
  }

  release({ keys, nonce }: LockIdentity, minHoldMs: number | undefined): Promise<Released> {
    const mutex = this.#mutex(keys);
    if (mutex.held?.identity.nonce !== nonce) {
      const place = mutex.queue.findIndex(({ request }) => request.nonce === nonce);
      if (place >= 0) mutex.queue.splice(place, 1);
      return Promise.resolve({ released: false, holder: this.#holder(mutex) });
    }
    // The lock was released before, and the end of that release stays.
    const untilMs = mutex.held.released ? mutex.held.untilMs : mutex.held.sinceMs + (minHoldMs ?? 0);
    // The lock has no holder from now on, so a renewal must fail.
    if (untilMs > this.#clock.monoMs()) mutex.held = { ...mutex.held, untilMs, released: true };
    else mutex.held = undefined;
    this.#handOver(mutex);
    return Promise.resolve({ released: true, unsettled: false });
  }

  releasePlain(identity: LockIdentity): Promise<Released> {
    return this.release(identity, 0);
  }

  inspect(keys: LockKeys): Promise<Inspected | null> {
    const mutex = this.#mutex(keys);
    const holder = this.#holder(mutex);
    if (mutex.held === undefined || holder === undefined) return Promise.resolve(null);
    const nowMs = this.#clock.wallMs();
    const waiters = mutex.queue.map(({ request: { owner }, sinceMs }) => {
      return { owner, process: this.#who, sinceMs, seenMs: nowMs };
    });
    const ttlMs = mutex.held.untilMs - this.#clock.monoMs();
    return Promise.resolve({ holder, ttlMs, nowMs, waiting: waiters.length, waiters });
  }

  forceRelease(keys: LockKeys): Promise<LockHolder | undefined> {
    const mutex = this.#mutex(keys);
    const { held } = mutex;
    const holder = this.#holder(mutex);
    mutex.held = undefined;
    if (held?.token !== undefined) this.#forced({ nonce: held.identity.nonce, token: held.token });
    this.#handOver(mutex);
    return Promise.resolve(holder);
  }

  onForced(forced: (what: ForcedRelease) => void): void {
    this.#forced = forced;
  }

  rawAcquire(lock: string, owner: string, ttlMs: number): Promise<boolean> {
    const mutex = this.#mutex({ lock });
    if (mutex.held) return Promise.resolve(false);
    const since = new Date(this.#clock.wallMs());
    const sinceMs = this.#clock.monoMs();
    mutex.held = { identity: { nonce: '', owner }, since, sinceMs, untilMs: sinceMs + ttlMs, generation: 0 };
    return Promise.resolve(true);
  }

  rawRelease(lock: string, owner: string): Promise<boolean> {
    const mutex = this.#mutex({ lock });
    if (mutex.held?.identity.owner !== owner) return Promise.resolve(false);
    mutex.held = undefined;
    return Promise.resolve(true);
  }

  rawExtend(lock: string, owner: string, ttlMs: number): Promise<boolean> {
    const { held } = this.#mutex({ lock });
    if (held?.identity.owner !== owner) return Promise.resolve(false);
    held.untilMs = this.#clock.monoMs() + ttlMs;
    return Promise.resolve(true);
  }

  /** Only checks the condition: there is no Redis to write to. */
  fencedSet({ fenced }: FencedKey, { token }: FencedWrite): Promise<number | undefined> {
    const seen = this.#fenced.get(fenced);
    if (seen !== undefined && token < seen) return Promise.resolve(seen);
    this.#fenced.set(fenced, token);
    return Promise.resolve(undefined);
  }

  fencedDelete(key: FencedKey, write: FencedWrite): Promise<number | undefined> {
    return this.fencedSet(key, write);
  }

  onPush(pushed: (grant: PushedGrant) => void): void {
    this.#push = pushed;
  }

  /** Nothing is ever lost here. */
  readonly onResync = (): void => {};

  /** The present state of the lock of these keys: an expired lease has ended. */
  #mutex({ lock }: Pick<LockKeys, 'lock'>): Mutex {
    let mutex = this.#mutexes.get(lock);
    if (!mutex) this.#mutexes.set(lock, (mutex = new Mutex()));
    if (mutex.held && mutex.held.untilMs <= this.#clock.monoMs()) mutex.held = undefined;
    return mutex;
  }

  /** Runs in one turn of the event loop, as a script is one step. */
  #acquire(request: LockRequest): Acquired {
    const mutex = this.#mutex(request.keys);
    const { held } = mutex;
    if (held?.token !== undefined && held.identity.nonce === request.nonce) {
      return { state: 'granted', token: held.token };
    }
    if (held === undefined && mutex.queue.length === 0) return { state: 'granted', token: this.#grant(mutex, request) };
    const ttlMs = held === undefined ? -2 : held.untilMs - this.#clock.monoMs();
    return { state: 'busy', ttlMs, fence: this.#lastToken, holder: this.#holder(mutex), place: '0' };
  }

  #beat({ keys, waiters }: WaitersOfLock): Heartbeat {
    const mutex = this.#mutex(keys);
    this.#handOver(mutex, waiters);
    const { held } = mutex;
    const mine = waiters.find(({ request }) => request.nonce === held?.identity.nonce);
    return {
      ttlMs: held === undefined ? -2 : held.untilMs - this.#clock.monoMs(),
      fence: this.#lastToken,
      granted: mine && held?.token !== undefined ? { nonce: mine.request.nonce, token: held.token } : undefined,
      unsettled: false,
      places: waiters.map(() => '0'),
    };
  }

  /** @param told waiters that get the result in the reply, and need no message */
  #handOver(mutex: Mutex, told: WaitersOfLock['waiters'] = []): void {
    const next = mutex.held === undefined ? mutex.queue.shift()?.request : undefined;
    if (next === undefined) return;
    const token = this.#grant(mutex, next);
    if (told.some(({ request }) => request.nonce === next.nonce)) return;
    // Not queueMicrotask: fake timers replace it, and the hand-over would wait for a test that waits for it.
    void Promise.resolve().then(() => {
      this.#push({ identity: next, token, validMs: next.ttlMs });
    });
  }

  #grant(mutex: Mutex, identity: LockRequest): number {
    const token = (this.#lastToken = Math.max(this.#lastToken + 1, Math.floor(this.#clock.wallMs() * 1_000)));
    const since = new Date(token / 1_000);
    const sinceMs = this.#clock.monoMs();
    mutex.held = { identity, token, since, sinceMs, untilMs: sinceMs + identity.ttlMs, generation: 0 };
    return token;
  }

  #holder({ held }: Mutex): LockHolder | undefined {
    if (held === undefined) return undefined;
    const { identity, since, token } = held;
    if (token === undefined) return { owner: identity.owner };
    return { owner: identity.owner, process: this.#who, since, fencingToken: token };
  }
}
