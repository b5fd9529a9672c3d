import type { LoadOptions } from '../load-options.js';

type Limited = Pick<LoadOptions, 'source' | 'maxConcurrentLoads'>;

interface Place {
  running: number;
  readonly waiting: (() => void)[];
}

/**
 * How many loaders this process runs at each source that takes only so many. Redis allots the fleet's slots; while it is away, this is
 * what holds: loads without a lease wait for their turn here, and all count, also those that began under a lease.
 */
export class LocalLoadLimiter {
  readonly #places = new Map<string, Place>();

  /** Resolves when one more may run, in the order of coming; it then counts until {@link leave}. */
  async wait({ source, maxConcurrentLoads: limit }: Limited): Promise<void> {
    const place = this.#at(source);
    if (place.running < limit && place.waiting.length === 0) place.running++;
    else await new Promise<void>((resolve) => place.waiting.push(resolve));
  }

  /** One that need not wait, and counts until {@link leave}. */
  enter({ source, maxConcurrentLoads: limit }: Limited): void {
    if (limit > 0) this.#at(source).running++;
  }

  /** The source is busy until `ended`, when the loader has really ended. */
  leave({ source, maxConcurrentLoads: limit }: Limited, ended: Promise<unknown>): void {
    if (limit === 0) return;
    void ended.then(() => {
      const place = this.#at(source);
      place.running--;
      while (place.running < limit && place.waiting.length > 0) {
        // Counted at once: nobody who comes meanwhile takes the turn.
        place.running++;
        place.waiting.shift()?.();
      }
      if (place.running === 0) this.#places.delete(source);
    });
  }

  #at(source: string): Place {
    let place = this.#places.get(source);
    if (place === undefined) this.#places.set(source, (place = { running: 0, waiting: [] }));
    return place;
  }
}
