import { BriefMap, type Clock, type Random } from '../redis/index.js';
import type { CacheStore } from './store/cache.store.js';
import { Flight } from './loading/flight.js';
import type { Airspace, Grant, Order } from './loading/load-lease.js';
import { HotKeys } from './store/recently-seen.js';
import type { Loader } from './loading/loader-run.js';
import type { LocalTier } from './local/local-tier.js';
import { LoopTurn } from './loading/event-loop-turn.js';
import { Turns } from './loading/local-load-limiter.js';
import type { WakeUps } from './loading/push-router.js';

export interface ReaderOptions {
  store: CacheStore;
  wakeUps: WakeUps;
  local: LocalTier | undefined;
  clock: Clock;
  random: Random;
  report: (error: unknown, what: string) => void;
}

/** The reads of one process: callers of one key share one flight. */
export class Reader {
  /** By entry, the one that was started last. */
  readonly #flights = new BriefMap<string, Flight>();
  readonly #airspace;
  readonly #leave = (flight: Flight): void => {
    if (this.#flights.get(flight.order.entry) === flight) this.#flights.delete(flight.order.entry);
  };

  constructor(options: ReaderOptions) {
    this.#airspace = {
      ...options,
      grants: new BriefMap<string, Grant>(),
      hotKeys: new HotKeys(),
      turn: new LoopTurn(),
      turns: new Turns(),
      closed: false,
    };
  }

  /** For who reads otherwise. */
  get airspace(): Airspace {
    return this.#airspace;
  }

  /**
   * The value of a key, from the cache or from the loader.
   *
   * Whoever joins a load that runs already, and then learns that it was, or may have been, overtaken by an invalidation, may
   * have called after that and asks again. Any load found or made then began after its call, so its value will do: two flights at most.
   */
  async read(order: Order, loader: Loader<unknown>): Promise<unknown> {
    for (let again = false; ; again = true) {
      const found = this.#find(order);
      const joinedLate = found?.late === true && !again;
      if (found) {
        order.meter.coalesced(order.key);
        order.onWait?.();
      }
      const flight = found ?? this.#start(order, loader);
      if (again) flight.insist();
      const landing = await flight.landing;
      if (landing.kind === 'value' || (landing.kind === 'overtaken' && !joinedLate)) return landing.copies.take();
    }
  }

  /** Nobody joins what runs for this entry any more: its value is about to change. */
  forget(entry: string): void {
    this.#flights.delete(entry);
    this.#airspace.hotKeys.delete(entry);
  }

  /**
   * The same for all that has one of these tags, or may turn out to have; without any, for everything. What a flight that does not
   * load itself will get, or has in hand, may have been stored with tags that it knows nothing of.
   */
  forgetTagged(tags?: readonly string[]): void {
    for (const [entry, { order, loading }] of this.#flights.entries()) {
      const { options } = order;
      const named = tags === undefined || options.resultTags !== undefined;
      if (named || !loading || options.tags.some((tag) => tags.includes(tag))) this.#flights.delete(entry);
    }
  }

  /** Has running loads with one of these tags (without any: all) find out whether they are void; their loaders are told. */
  doubt(tags?: readonly string[]): void {
    for (const [, grant] of this.#airspace.grants.entries()) grant.doubt(tags);
  }

  /** Leases are given back, so that others load at once; whoever waits goes to the source. */
  async close(): Promise<void> {
    this.#airspace.closed = true;
    const grants = this.#airspace.grants.entries();
    this.#airspace.wakeUps.wakeAll();
    await Promise.all(grants.map(([, grant]) => grant.giveBack()));
  }

  // No await between a look into the map and the insertion: two callers of one turn must find one another.
  #find({ entry, options }: Order): Flight | undefined {
    const flight = this.#flights.get(entry);
    return flight?.joinable(options.consistency === 'strict') ? flight : undefined;
  }

  #start(order: Order, loader: Loader<unknown>): Flight {
    const flight = new Flight(this.#airspace, order, loader, this.#leave);
    this.#flights.set(order.entry, flight);
    return flight;
  }
}
