import type { CacheStore, NotedFailure } from '../cache/cache.store.js';
import type { Answer } from '../cache/scripts/ask.script.js';
import type { Clock, InboxHandler } from '../redis/index.js';

interface Entry {
  readonly text: string;
  readonly untilMs: number;
}

/** The lease of a load that runs, or the back-off after one that failed. */
interface Lease {
  token: string | undefined;
  failure: string | undefined;
  untilMs: number;
  readonly waiting: string[];
}

/** A cache of one process, with the rules of the one in Redis: leases, fenced fills, shared errors. */
export class InProcessCacheStore implements Pick<CacheStore, keyof CacheStore> {
  readonly timing = { leaseMs: 3_000, readTimeoutMs: 250 };
  readonly news = 'news';
  readonly inbox = {
    on: (_kind: string, handler: InboxHandler): void => {
      this.#deliver = handler;
    },
    /** Nothing is ever lost here. */
    onResync: (): void => {},
  };
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #leases = new Map<string, Lease>();
  #requests = 0;
  #deliver: InboxHandler = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  newToken(): string {
    return (this.#requests++).toString(36);
  }

  ask(key: string, token: string): Promise<Answer> {
    const entry = this.#entry(key);
    if (entry) return Promise.resolve({ kind: 'hit', text: entry.text });
    const lease = this.#lease(key);
    if (lease === undefined) {
      const untilMs = this.#now() + this.timing.leaseMs;
      this.#leases.set(key, { token, failure: undefined, untilMs, waiting: [] });
      return Promise.resolve({ kind: 'load' });
    }
    const remainingMs = lease.untilMs - this.#now();
    if (lease.failure !== undefined) {
      return Promise.resolve({ kind: 'error', failure: lease.failure, remainingMs });
    }
    lease.waiting.push(token);
    return Promise.resolve({ kind: 'wait', remainingMs });
  }

  fill(key: string, token: string, text: string, ttlMs: number): Promise<boolean> {
    const lease = this.#own(key, token);
    if (!lease) return Promise.resolve(false);
    this.#entries.set(key, { text, untilMs: this.#now() + ttlMs });
    this.#end(key, lease, 'value', text);
    return Promise.resolve(true);
  }

  fail(key: string, token: string, failure: NotedFailure): Promise<boolean> {
    const lease = this.#own(key, token);
    if (!lease) return Promise.resolve(false);
    const noted = JSON.stringify(failure);
    this.#end(key, lease, 'error', noted);
    if (failure.backoffMs > 0) {
      const untilMs = this.#now() + failure.backoffMs;
      this.#leases.set(key, { token: undefined, failure: noted, untilMs, waiting: [] });
    }
    return Promise.resolve(true);
  }

  renew(key: string, token: string): Promise<boolean> {
    const lease = this.#own(key, token);
    if (lease) lease.untilMs = this.#now() + this.timing.leaseMs;
    return Promise.resolve(lease !== undefined);
  }

  release(key: string, token: string): Promise<boolean> {
    const lease = this.#own(key, token);
    if (lease) this.#end(key, lease, 'again', '');
    return Promise.resolve(lease !== undefined);
  }

  get(key: string): Promise<string | null> {
    return Promise.resolve(this.#entry(key)?.text ?? null);
  }

  set(key: string, text: string, ttlMs: number): Promise<void> {
    this.#entries.set(key, { text, untilMs: this.#now() + ttlMs });
    this.#void(key, 'value', text);
    return Promise.resolve();
  }

  delete(key: string): Promise<boolean> {
    const existed = this.#entry(key) !== undefined;
    this.#entries.delete(key);
    this.#void(key, 'again', '');
    return Promise.resolve(existed);
  }

  discard(key: string): Promise<void> {
    this.#entries.delete(key);
    return Promise.resolve();
  }

  #now(): number {
    return this.#clock.monoMs();
  }

  #entry(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.untilMs > this.#now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  #lease(key: string): Lease | undefined {
    const lease = this.#leases.get(key);
    if (lease === undefined || lease.untilMs > this.#now()) return lease;
    this.#leases.delete(key);
    return undefined;
  }

  #own(key: string, token: string): Lease | undefined {
    const lease = this.#lease(key);
    return lease?.token === token ? lease : undefined;
  }

  /** An invalidation: the load that runs is told that nothing of it will be stored. */
  #void(key: string, verb: string, payload: string): void {
    const lease = this.#lease(key);
    if (!lease) return;
    this.#end(key, lease, verb, payload);
    if (lease.token !== undefined) this.#tell('void', lease.token, '');
  }

  #end(key: string, lease: Lease, verb: string, payload: string): void {
    this.#leases.delete(key);
    if (lease.waiting.length > 0) this.#tell(verb, lease.waiting.join(' '), payload);
  }

  #tell(...parts: string[]): void {
    queueMicrotask(() => {
      this.#deliver(parts.map((part) => Buffer.from(part)));
    });
  }
}
