import type { BriefMap, Clock, Random } from '../../redis/index.js';
import { failureOf } from '../cache.errors.js';
import type { Meter } from '../observe/cache.stats.js';
import { ttlOf, type LoadOptions } from '../load-options.js';
import type { CacheStore } from '../store/cache.store.js';
import { encode } from '../codec/codec.js';
import { Copies } from '../local/decoded-copies.js';
import type { HotKeys } from '../store/recently-seen.js';
import { Lease } from './lease-renewal.js';
import type { LocalTier } from '../local/local-tier.js';
import type { LoopTurn } from './event-loop-turn.js';
import { Slot } from './source-slot.js';
import { encodeTags } from '../store/tags.js';
import type { Turns } from './local-load-limiter.js';
import type { Request, WakeUps } from './push-router.js';

/** What the reads of one process share. */
export interface Airspace {
  readonly store: CacheStore;
  readonly wakeUps: WakeUps;
  readonly clock: Clock;
  readonly random: Random;
  readonly hotKeys: HotKeys;
  /** Loaders that run at sources that take only so many. */
  readonly turns: Turns;
  readonly local: LocalTier | undefined;
  readonly turn: LoopTurn;
  /** By token: the loads that this process was granted. */
  readonly grants: BriefMap<string, Grant>;
  /** Redis is about to be let go: nothing more is asked of it. */
  readonly closed: boolean;
  /** Of an error that no caller gets. */
  report(error: unknown, what: string): void;
}

/** What is read: a user's key, as an entry, and how. */
export interface Order {
  readonly key: string;
  readonly entry: string;
  readonly options: LoadOptions;
  readonly meter: Meter;
  /** Called when it is known that this read waits for somebody else, if it does. */
  readonly onWait?: (() => void) | undefined;
}

/** How a load under a lease ended. */
export interface Filled {
  readonly copies: Copies;
  /** False: it was overtaken by an invalidation or by another load, or Redis did not confirm it. */
  readonly stored: boolean;
}

/** The right to load a key for the fleet, as one request was granted it: a lease, a slot at the source, and how it is used up. */
export class Grant {
  readonly #airspace: Airspace;
  readonly #order: Order;
  readonly #request: Request;
  readonly #lease: Lease;
  readonly #slot: Slot | undefined;
  readonly #sinceMs: number;

  /** @param onLost called once if the lease is lost before it is used up; not if it was when it was granted */
  constructor(airspace: Airspace, order: Order, request: Request, onLost: () => void) {
    const { store, clock, grants } = airspace;
    const { source, maxConcurrentLoads } = order.options;
    this.#airspace = airspace;
    this.#order = order;
    this.#request = request;
    this.#sinceMs = clock.monoMs();
    this.#lease = new Lease(store, clock, order.entry, request);
    if (maxConcurrentLoads > 0) this.#slot = new Slot(store, clock, source, request.token, maxConcurrentLoads);
    request.loading = true;
    // Named first: see ADR 19.
    const onVoid = (): void => {
      this.#lease.end();
      onLost();
    };
    request.onVoid = onVoid;
    grants.set(request.token, this);
  }

  /**
   * Stores a value, unless the lease was lost or what it depends on was invalidated.
   *
   * @throws what `resultTags` throws; SluiceError `SLUICE_CACHE_UNSERIALIZABLE`
   */
  async fill(value: unknown): Promise<Filled> {
    const { store, clock, hotKeys, random } = this.#airspace;
    const { entry, options } = this.#order;
    const late = this.#lateTags(value);
    const text = encode(value, { instances: options.revive !== undefined });
    // What cannot be revived is not stored. All else reads back, and need not before it is sent: who waits is waiting for that.
    const revived = options.revive && new Copies(text, options.revive);
    this.#lease.end();
    if ((options.unless as ((value: unknown) => boolean) | undefined)?.(value)) {
      this.release();
      return { copies: revived ?? new Copies(text), stored: false };
    }
    if (this.#request.voided) return this.#voided(revived ?? new Copies(text));
    const { token } = this.#request;
    const { staleMs } = options;
    const loadMs = Math.round(clock.monoMs() - this.#sinceMs);
    const filling = store
      .fill(entry, token, loadMs, { text, ttlMs: ttlOf(value, options, random), staleMs, tags: late })
      .catch(() => {
        this.release();
        return false;
      });
    const copies = revived ?? new Copies(text);
    const stored = await filling;
    if (!stored) return this.#voided(copies);
    hotKeys.add(entry, { tags: [...options.tags, ...late], text });
    return { copies, stored };
  }

  #voided(copies: Copies): Filled {
    this.#order.meter.voided(this.#order.key);
    return { copies, stored: false };
  }

  /** Tells the fleet of an error. */
  async fail(error: unknown): Promise<void> {
    this.#lease.end();
    if (this.#request.voided) return;
    const failure = { ...failureOf(error), backoffMs: this.#order.options.errorBackoffMs };
    await this.#airspace.store.fail(this.#order.entry, this.#request.token, failure).catch(() => {
      this.release();
    });
  }

  /** Gives the lease up. Nobody waits for it to be confirmed: the store sees to that. */
  release(): void {
    this.#lease.end();
    this.#airspace.store.release(this.#order.entry, this.#request.token).catch(() => {});
  }

  /**
   * Tags were invalidated (without any: everything), and if the load began before, it is void. Redis is asked: this news may be older
   * than the grant. Of tags that only the result will name, nobody knows yet.
   */
  doubt(tags?: readonly string[]): void {
    const { options } = this.#order;
    if (tags === undefined || options.tags.some((tag) => tags.includes(tag))) this.#lease.check();
  }

  /** On the way out: whoever waits for this load may load itself. This one goes on, for its callers alone. */
  async giveBack(): Promise<void> {
    await this.#lease.giveBack();
  }

  /** It is used up. The slot is kept until `loaderEnded`, which may be later. */
  end(loaderEnded: Promise<unknown>): void {
    this.#lease.end();
    this.#airspace.wakeUps.done(this.#request);
    this.#airspace.grants.delete(this.#request.token);
    void loaderEnded.then(() => this.#slot?.leave());
  }

  #lateTags(value: unknown): readonly string[] {
    const { resultTags, tags } = this.#order.options;
    if (resultTags === undefined) return [];
    const named = encodeTags('resultTags()', (resultTags as (value: unknown) => unknown)(value));
    return named.filter((tag) => !tags.includes(tag));
  }
}
