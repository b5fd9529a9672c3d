import type { Clock, Random } from '../redis/index.js';
import { CacheLoaderError, failureOf } from './cache.errors.js';
import { ttlOf, type LoadOptions } from './cache.options.js';
import type { CacheStore, NotedFailure } from './cache.store.js';
import { encode } from './codec.js';
import { Copies } from './copies.js';
import type { HotKeys } from './hot-keys.js';
import { Lease } from './lease.js';
import { Load, type Loader } from './load.js';
import type { Request, WakeUps } from './wake-ups.js';

/** How a flight ended, if not with an error. */
export type Landing =
  | { readonly kind: 'value'; readonly copies: Copies }
  /** Not known to be loaded under a lease that lasted: right for those who asked before the loader ran. */
  | { readonly kind: 'overtaken'; readonly copies: Copies }
  /** The load was called off, because of an invalidation: everybody asks again. */
  | { readonly kind: 'again' };

/** What the flights of one process share. */
export interface Airspace {
  readonly store: CacheStore;
  readonly wakeUps: WakeUps;
  readonly clock: Clock;
  readonly random: Random;
  readonly hotKeys: HotKeys;
  /** The leases that this process holds. */
  readonly leases: Set<Lease>;
  /** Redis is about to be let go: nothing more is asked of it. */
  readonly closed: boolean;
  /** Called when nobody may join the flight any more, always before it lands. */
  leave(flight: Flight): void;
}

/**
 * For how long after its last question to Redis a flight may be joined while it waits for the outcome, or loads without a
 * lease. What it gets was valid after that question, so that no caller gets what was invalidated more than this before its call.
 */
const JOINABLE_MS = 1_000;

/** Waiters of a lease that expired ask again within this, not all in one moment. */
const SPREAD_MS = 10;

/** One read of one key on behalf of all callers in this process who ask meanwhile. */
export class Flight {
  readonly key: string;
  readonly landing: Promise<Landing>;
  readonly #airspace: Airspace;
  readonly #loader: Loader<unknown>;
  readonly #options: LoadOptions;
  #askedAtMs: number;
  /** The loader has been called. */
  #loading = false;
  /** It has been called without a lease. */
  #alone = false;
  #mustFinish = false;

  constructor(airspace: Airspace, key: string, loader: Loader<unknown>, options: LoadOptions) {
    this.key = key;
    this.#airspace = airspace;
    this.#loader = loader;
    this.#options = options;
    this.#askedAtMs = airspace.clock.monoMs();
    this.landing = this.#fly();
  }

  /**
   * Whoever joins now may call after an invalidation that what is loaded does not know of. Without a lease nobody would tell
   * of one; but while Redis is away, a second load for all who came a moment later were no cure.
   */
  get late(): boolean {
    return this.#loading && !(this.#alone && this.#young);
  }

  get joinable(): boolean {
    return this.#loading || this.#young;
  }

  get #young(): boolean {
    return this.#airspace.clock.monoMs() - this.#askedAtMs <= JOINABLE_MS;
  }

  /** From now on, an invalidation does not call the loader off: invalidations without end must not starve its callers. */
  insist(): void {
    this.#mustFinish = true;
  }

  async #fly(): Promise<Landing> {
    const { store, wakeUps, clock, hotKeys } = this.#airspace;
    try {
      if (hotKeys.has(this.key)) {
        // As below: whatever keeps Redis from answering, readers get their value from the source.
        const text = await store.get(this.key).catch(() => undefined);
        if (text === undefined) return await this.#loadAlone();
        const landing = text === null ? undefined : this.#land(text);
        if (landing) return landing;
        hotKeys.delete(this.key);
      }
      for (;;) {
        const request = wakeUps.expect(store.newToken());
        this.#askedAtMs = clock.monoMs();
        try {
          const landing = await this.#attempt(request);
          if (landing) return landing;
        } finally {
          wakeUps.done(request);
        }
      }
    } finally {
      this.#airspace.leave(this);
    }
  }

  /** Asks once and follows the answer to its end; `undefined` means: ask again. */
  async #attempt(request: Request): Promise<Landing | undefined> {
    const { store, closed, random } = this.#airspace;
    // Whatever keeps Redis from answering, readers get their value from the source.
    const answer = closed ? undefined : await store.ask(this.key, request.token).catch(() => undefined);
    switch (answer?.kind) {
      case 'hit': {
        const landing = this.#land(answer.text);
        if (landing) return landing;
        // Broken bytes are a miss: out of the way with them. Where they cannot be removed, asking again would find them again.
        const removed = await store.discard(this.key).then(
          () => true,
          () => false,
        );
        return removed ? undefined : this.#loadAlone();
      }
      case 'load':
        // Voided before the grant was read: nothing has been loaded yet, so nothing is lost by a new lease.
        return request.voided ? undefined : this.#loadForAll(request);
      case 'wait': {
        const news = await request.news(answer.remainingMs + 1 + random() * SPREAD_MS);
        if (news.verb === 'error') throw this.#failed(news.failure);
        return news.verb === 'value' ? this.#land(news.text) : undefined;
      }
      case 'error':
        throw this.#failed(answer.failure, answer.remainingMs);
      case undefined:
        return this.#loadAlone();
    }
  }

  /** Loads under the lease that the request was granted, and tells the fleet how it ended. */
  async #loadForAll(request: Request): Promise<Landing> {
    const { store, clock, leases } = this.#airspace;
    const load = new Load();
    const lease = new Lease(store, clock, this.key, request);
    leases.add(lease);
    request.onVoid = () => {
      // Whoever asks from now on must not get what was read before the invalidation.
      this.#airspace.leave(this);
      lease.end();
      if (!this.#mustFinish) load.abort();
    };
    this.#loading = true;
    try {
      const value = await load.run(this.key, this.#loader, this.#options.loaderTimeoutMs, clock);
      const text = encode(value);
      const copies = new Copies(text);
      lease.end();
      const stored = !request.voided && (await this.#fill(request.token, text, ttlOf(value, this.#options)));
      if (stored) this.#airspace.hotKeys.add(this.key);
      return { kind: stored ? 'value' : 'overtaken', copies };
    } catch (error) {
      lease.end();
      if (load.aborted) return { kind: 'again' };
      if (load.timedOut) this.#release(request.token);
      else if (!request.voided) await this.#fail(request.token, error);
      throw error;
    } finally {
      leases.delete(lease);
    }
  }

  /** Without Redis: one load for this process, stored nowhere. */
  async #loadAlone(): Promise<Landing> {
    this.#loading = this.#alone = true;
    const { loaderTimeoutMs } = this.#options;
    const value = await new Load().run(this.key, this.#loader, loaderTimeoutMs, this.#airspace.clock);
    return { kind: 'overtaken', copies: new Copies(encode(value)) };
  }

  /** True if Redis confirmed it. */
  async #fill(token: string, text: string, ttlMs: number): Promise<boolean> {
    return this.#airspace.store.fill(this.key, token, text, ttlMs).catch(() => {
      this.#release(token);
      return false;
    });
  }

  async #fail(token: string, error: unknown): Promise<void> {
    const failure = { ...failureOf(error), backoffMs: this.#options.errorBackoffMs };
    await this.#airspace.store.fail(this.key, token, failure).catch(() => {});
  }

  /** Unconfirmed: should it get lost, the lease expires. */
  #release(token: string): void {
    this.#airspace.store.release(this.key, token).catch(() => {});
  }

  #failed(failure: string, remainingMs?: number): CacheLoaderError {
    const { backoffMs, ...loader } = JSON.parse(failure) as NotedFailure;
    return new CacheLoaderError(this.key, loader, remainingMs ?? backoffMs);
  }

  #land(text: string): Landing | undefined {
    try {
      const copies = new Copies(text);
      this.#airspace.hotKeys.add(this.key);
      return { kind: 'value', copies };
    } catch {
      return undefined;
    }
  }
}
