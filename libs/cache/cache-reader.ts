import { BriefMap, type Clock, type Random } from '../redis/index.js';
import type { CacheAvailability } from './observe/cache-availability.js';
import type { CacheStore } from './store/cache.store.js';
import { Flight } from './loading/flight.js';
import { Flights } from './flights.js';
import { OwnErrors } from './loader-failures.js';
import { LoadScopes, waitWithin } from './loading/load-scopes.js';
import type { LoadLease } from './loading/load-lease.js';
import type { ReadContext, ReadRequest } from './loading/read-context.js';
import { RecentlySeen } from './store/recently-seen.js';
import type { Loader } from './loading/loader-run.js';
import type { LocalTier } from './local/local-tier.js';
import { LocalLoadLimiter } from './loading/local-load-limiter.js';
import type { PushRouter } from './loading/push-router.js';

export interface CacheReaderOptions {
  store: CacheStore;
  pushRouter: PushRouter;
  local: LocalTier | undefined;
  clock: Clock;
  random: Random;
  availability: CacheAvailability;
  report: (error: unknown, what: string) => void;
}

/** The reads of one process. Callers of one key share one flight. */
export class CacheReader {
  readonly #flights = new Flights();
  readonly #context;
  readonly #leave = (flight: Flight): void => {
    this.#flights.remove(flight);
  };

  constructor(options: CacheReaderOptions) {
    this.#context = {
      ...options,
      loadLeases: new BriefMap<string, LoadLease>(),
      recentlySeen: new RecentlySeen(),
      ownErrors: new OwnErrors(options.clock),
      scopes: new LoadScopes(),
      loadLimiter: new LocalLoadLimiter(),
      closed: false,
    };
  }

  /** For reads that do not use {@link read}, such as loads by hand. */
  get context(): ReadContext {
    return this.#context;
  }

  /**
   * The value of a key, from the cache or from the loader.
   *
   * A caller may join a load that runs already, and then learn that an invalidation overtook that load, or may have overtaken it.
   * The caller may have called after the invalidation, so it asks again. Any load that it then finds or starts began after its
   * call, so the value of that load is good: two flights at most.
   */
  async read(request: ReadRequest, loader: Loader<unknown>): Promise<unknown> {
    const { scope } = request;
    let alone = false;
    for (let again = false; ; again = true) {
      const found = alone ? undefined : this.#flights.find(request);
      const joinedLate = found?.late === true && !again;
      if (found) {
        request.meter.coalesced(request.key);
        request.onWait?.();
      }
      const flight = found ?? this.#start(request, loader);
      if (again) flight.loadToCompletion();
      const outcome = await (scope ? waitWithin(scope, flight) : flight.outcome);
      if (outcome.kind !== 'value' && (outcome.kind !== 'superseded' || joinedLate)) continue;
      try {
        return outcome.copies.take(request.options.revive);
      } catch (error) {
        // The flight read the value with another `revive`. A value that this caller's `revive` refuses is a miss for this caller.
        if (!found) throw error;
        alone = true;
      }
    }
  }

  /** From now on, no request joins a flight of this entry, because its value is about to change. */
  forget(entry: string): void {
    this.#flights.removeAll(entry);
    this.#context.recentlySeen.delete(entry);
  }

  /**
   * As {@link forget}, for all flights that have one of these tags, or may turn out to have one. Without tags: for all flights.
   * A flight that does not load itself may get, or have got, a value that was stored with tags that the flight does not know.
   */
  forgetTagged(tags?: ReadonlySet<string>): void {
    this.#flights.removeWhere(({ request: { options }, loading }) => {
      const named = tags === undefined || options.resultTags !== undefined;
      return named || !loading || options.tags.some((tag) => tags.has(tag));
    });
  }

  /**
   * Makes running loads with one of these tags (without tags: all running loads) find out whether they are void. The loader of a
   * void load is told.
   */
  revalidate(tags?: ReadonlySet<string>): void {
    for (const [, lease] of this.#context.loadLeases.entries()) lease.revalidate(tags);
  }

  /** Gives leases back, so that other processes load at once. Requests that wait in this process go to the source. */
  async close(): Promise<void> {
    this.#context.closed = true;
    const loadLeases = this.#context.loadLeases.entries();
    this.#context.pushRouter.wakeAll();
    await Promise.all(loadLeases.map(([, lease]) => lease.detach()));
  }

  // There is no await between the search for a flight and its insertion: the second of two callers of one turn must find it.
  #start(request: ReadRequest, loader: Loader<unknown>): Flight {
    const before = request.options.consistency === 'strict' ? this.#flights.latest(request.entry) : undefined;
    const flight = new Flight(this.#context, request, loader, this.#leave, before);
    this.#flights.add(flight);
    return flight;
  }
}
