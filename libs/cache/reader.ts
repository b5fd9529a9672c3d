import type { Clock, Random } from '../redis/index.js';
import type { LoadOptions } from './cache.options.js';
import type { CacheStore } from './cache.store.js';
import { Flight } from './flight.js';
import { HotKeys } from './hot-keys.js';
import type { Lease } from './lease.js';
import type { Loader } from './load.js';
import type { WakeUps } from './wake-ups.js';

export interface ReaderOptions {
  store: CacheStore;
  wakeUps: WakeUps;
  clock: Clock;
  random: Random;
}

/** The reads of one process: callers of one key share one flight. */
export class Reader {
  readonly #flights = new Map<string, Flight>();
  readonly #airspace;

  constructor(options: ReaderOptions) {
    const leave = (flight: Flight): void => {
      if (this.#flights.get(flight.key) === flight) this.#flights.delete(flight.key);
    };
    this.#airspace = { ...options, leases: new Set<Lease>(), hotKeys: new HotKeys(), closed: false, leave };
  }

  /**
   * The value of a key, from the cache or from the loader.
   *
   * Whoever joins a load that runs already, and then learns that it was, or may have been, overtaken by an invalidation, may
   * have called after that and asks again. Any load found or made then began after its call, so its value will do: two flights at most.
   */
  async read(key: string, loader: Loader<unknown>, options: LoadOptions): Promise<unknown> {
    for (let again = false; ; again = true) {
      const found = this.#find(key);
      const joinedLate = found?.late === true && !again;
      const flight = found ?? this.#start(key, loader, options);
      if (again) flight.insist();
      const landing = await flight.landing;
      if (landing.kind === 'value' || (landing.kind === 'overtaken' && !joinedLate)) return landing.copies.take();
    }
  }

  /** Nobody joins what runs for this key any more: its value is about to change. */
  forget(key: string): void {
    this.#flights.delete(key);
    this.#airspace.hotKeys.delete(key);
  }

  /** Leases are given back, so that others load at once; whoever waits goes to the source. */
  async close(): Promise<void> {
    this.#airspace.closed = true;
    const leases = [...this.#airspace.leases];
    this.#airspace.wakeUps.wakeAll();
    await Promise.all(leases.map((lease) => lease.giveBack()));
  }

  // No await between a look into the map and the insertion: two callers of one turn must find one another.
  #find(key: string): Flight | undefined {
    const flight = this.#flights.get(key);
    return flight?.joinable ? flight : undefined;
  }

  #start(key: string, loader: Loader<unknown>, options: LoadOptions): Flight {
    const flight = new Flight(this.#airspace, key, loader, options);
    this.#flights.set(key, flight);
    return flight;
  }
}
