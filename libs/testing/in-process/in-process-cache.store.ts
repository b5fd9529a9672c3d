import type { NotedFailure } from '../../cache/cache.errors.js';
import type { CacheStore, NewValue, AskRequest } from '../../cache/store/cache.store.js';
import type { FoundValue } from '../../cache/store/get-batcher.js';
import type { Answer } from '../../cache/store/scripts/ask.script.js';
import { ServerClock } from '../../cache/store/server-clock.js';
import type { StoredValue } from '../../cache/store/stored-value.js';
import type { Clock, InboxHandler } from '../../redis/index.js';

interface Entry {
  readonly value: StoredValue;
  readonly untilMs: number;
  /** The number of the last invalidation when the value was set, or when its load began. A later one makes it invalid. */
  readonly since: number;
}

/** The lease of a load that runs, or the back-off after a load that failed. */
interface Lease {
  token: string | undefined;
  failure: string | undefined;
  untilMs: number;
  readonly since: number;
  readonly tags: readonly string[];
  readonly waiting: string[];
}

/** A limited source: the tokens of running loads, and the tokens that wait for a slot. */
interface Source {
  readonly loading: Set<string>;
  readonly queue: Set<string>;
}

/**
 * A cache of one process, with the rules of the cache in Redis: leases, fenced fills, shared errors, invalidation by tags,
 * stale values, limited sources. The number of the last invalidation takes the place of the epochs in Redis.
 */
export class InProcessCacheStore implements Pick<CacheStore, keyof CacheStore> {
  readonly timing = { leaseMs: 3_000, readTimeoutMs: 250, packFrom: Infinity };
  readonly invalidationChannel = 'invalidated';
  readonly sequence = 'sequence';
  readonly inbox = {
    on: (kind: string, handler: InboxHandler): void => {
      if (kind === 'cache:news') this.#deliver = handler;
    },
    /** No message is ever lost here, and no other process invalidates values. */
    onResync: (): void => {},
    join: (): void => {},
    proveFor: (): (() => void) => () => {},
    proven: { monoMs: Infinity, wallMs: Infinity },
  };
  readonly serverClock: ServerClock;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #leases = new Map<string, Lease>();
  readonly #sources = new Map<string, Source>();
  /** By tag, the number of its last invalidation. */
  readonly #invalidated = new Map<string, number>();
  #cleared = 0;
  #step = 0;
  #requests = 0;
  #deliver: InboxHandler = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
    this.serverClock = new ServerClock(clock);
    this.serverClock.heard(0, 0);
  }

  /** No other process changes values. */
  track(): Pick<CacheStore['inbox'], 'proven' | 'onResync' | 'proveFor'> {
    return this.inbox;
  }

  onDown(): void {
    // This store always answers.
  }

  newToken(): string {
    return (this.#requests++).toString(36);
  }

  tryGet(key: string): Promise<FoundValue> {
    const value = this.#entry(key)?.value;
    return Promise.resolve({ value, leftMs: value ? value.freshUntilMs - this.#now() : -Infinity });
  }

  ask(key: string, question: AskRequest): Promise<Answer> {
    return Promise.resolve(this.#answer(key, question));
  }

  #answer(key: string, { token, tags, staleMs, waitForRefresh, earlyRefreshDraw, source, limit }: AskRequest): Answer {
    const serverMs = this.#now();
    const value = this.#entry(key)?.value;
    const leftMs = value ? value.freshUntilMs - serverMs : -Infinity;
    const kind = leftMs > 0 ? 'hit' : leftMs + staleMs > 0 ? 'stale' : undefined;
    const found = (then?: 'load' | 'wait'): Answer | undefined => value && kind && { kind, serverMs, value, then };
    if (value && kind === 'hit' && earlyRefreshDraw * value.loadMs < leftMs)
      return { kind, serverMs, value, then: undefined };
    const lease = this.#lease(key);
    if (lease?.failure !== undefined) {
      return found() ?? { kind: 'error', serverMs, failure: lease.failure, remainingMs: lease.untilMs - serverMs };
    }
    if (lease && this.#current(lease.since, lease.tags)) {
      if (kind === 'hit' || (kind && !waitForRefresh)) return found() as Answer;
      lease.waiting.push(token);
      return found('wait') ?? { kind: 'wait', serverMs, remainingMs: lease.untilMs - serverMs };
    }
    this.#void(key, 'again', '');
    if (limit > 0 && !this.#takeSlot(source, token, limit, kind === undefined)) {
      return found() ?? { kind: 'full', serverMs };
    }
    const untilMs = serverMs + this.timing.leaseMs;
    this.#leases.set(key, { token, failure: undefined, untilMs, since: this.#step, tags, waiting: [] });
    return found('load') ?? { kind: 'load', serverMs };
  }

  fill(key: string, token: string, loadMs: number, value: NewValue): Promise<boolean> {
    const lease = this.#own(key, token);
    if (!lease) return Promise.resolve(false);
    const tags = [...lease.tags, ...value.tags];
    if (!this.#current(lease.since, tags)) {
      this.#end(key, lease, 'again', '');
      return Promise.resolve(false);
    }
    this.#end(key, lease, 'value', this.#store(key, { ...value, tags }, loadMs, lease.since));
    return Promise.resolve(true);
  }

  fail(key: string, token: string, failure: NotedFailure): Promise<boolean> {
    const lease = this.#own(key, token);
    if (!lease) return Promise.resolve(false);
    const noted = JSON.stringify(failure);
    this.#end(key, lease, 'error', noted);
    if (failure.backoffMs > 0) {
      const untilMs = this.#now() + failure.backoffMs;
      this.#leases.set(key, { ...lease, token: undefined, failure: noted, untilMs, waiting: [] });
    }
    return Promise.resolve(true);
  }

  renew(key: string, token: string): Promise<boolean> {
    const lease = this.#own(key, token);
    if (!lease) return Promise.resolve(false);
    const current = this.#current(lease.since, lease.tags);
    if (current) lease.untilMs = this.#now() + this.timing.leaseMs;
    else this.#end(key, lease, 'again', '');
    return Promise.resolve(current);
  }

  release(key: string, token: string): Promise<boolean> {
    const lease = this.#own(key, token);
    if (lease) this.#end(key, lease, 'again', '');
    return Promise.resolve(lease !== undefined);
  }

  renewSlot(): Promise<void> {
    return Promise.resolve();
  }

  leaveSlot(name: string, token: string): Promise<void> {
    const source = this.#source(name);
    source.loading.delete(token);
    for (const next of [...source.queue].slice(0, 1)) {
      source.queue.delete(next);
      this.#tell('again', next, '');
    }
    return Promise.resolve();
  }

  get(key: string): Promise<StoredValue | undefined> {
    return Promise.resolve(this.#fresh(key));
  }

  set(key: string, value: NewValue): Promise<void> {
    this.#void(key, 'value', this.#store(key, value, 0, this.#step));
    return Promise.resolve();
  }

  delete(key: string): Promise<boolean> {
    const existed = this.#entry(key) !== undefined;
    this.#entries.delete(key);
    this.#void(key, 'again', '');
    return Promise.resolve(existed);
  }

  take(key: string): Promise<StoredValue | undefined> {
    const value = this.#fresh(key);
    if (value) this.#entries.delete(key);
    return Promise.resolve(value);
  }

  invalidateTags(tags: readonly string[]): Promise<void> {
    this.#step++;
    for (const tag of tags) this.#invalidated.set(tag, this.#step);
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.#cleared = ++this.#step;
    return Promise.resolve();
  }

  discard(key: string): Promise<void> {
    this.#entries.delete(key);
    return Promise.resolve();
  }

  #now(): number {
    return this.#clock.monoMs();
  }

  /** Returns the value as Redis would keep it: the content of the push. */
  #store(key: string, { text, ttlMs, staleMs, tags, share }: NewValue, loadMs: number, since: number): string {
    const freshUntilMs = Math.floor(this.#now() + ttlMs);
    const value = { text, epoch: '-', freshUntilMs, loadMs, tags, tagEpochs: tags.map(() => '-') };
    if (share !== true) this.#entries.set(key, { value, untilMs: freshUntilMs + staleMs, since });
    return `^1 - ${freshUntilMs} ${loadMs}${tags.map((tag) => ` ${tag}=-`).join('')}\n${text}`;
  }

  #current(since: number, tags: readonly string[]): boolean {
    return since >= this.#cleared && tags.every((tag) => (this.#invalidated.get(tag) ?? 0) <= since);
  }

  #entry(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.untilMs > this.#now() && this.#current(entry.since, entry.value.tags)) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  #fresh(key: string): StoredValue | undefined {
    const value = this.#entry(key)?.value;
    return value && value.freshUntilMs > this.#now() ? value : undefined;
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

  #source(name: string): Source {
    const source = this.#sources.get(name) ?? { loading: new Set(), queue: new Set() };
    this.#sources.set(name, source);
    return source;
  }

  #takeSlot(name: string, token: string, limit: number, queues: boolean): boolean {
    const source = this.#source(name);
    if (source.loading.size >= limit) {
      if (queues) source.queue.add(token);
      return false;
    }
    source.queue.delete(token);
    source.loading.add(token);
    return true;
  }

  /** Invalidates: the running load learns that its value will not be stored. */
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
    // Not queueMicrotask: fake timers replace it.
    void Promise.resolve().then(() => {
      this.#deliver(parts);
    });
  }
}
