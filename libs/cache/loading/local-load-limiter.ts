import type { Clock } from '../../redis/index.js';

interface Place {
  running: number;
  readonly waiting: (() => void)[];
}

/**
 * How many loaders this process runs at each source that takes only so many. Redis allots the fleet's slots; while it is
 * away, this is what holds: loads without a lease wait for their turn here, and all count, also those that began under a lease.
 */
export class LocalLoadLimiter {
  readonly #places = new Map<string, Place>();

  /** True when one more may run, in the order of coming; it then counts until {@link leave}. False after `timeoutMs`. */
  wait(source: string, limit: number, timeoutMs: number, clock: Clock): Promise<boolean> {
    const place = this.#at(source);
    if (place.running < limit && place.waiting.length === 0) {
      place.running++;
      return Promise.resolve(true);
    }
    return new Promise<boolean>((resolve) => {
      const granted = (): void => {
        cancel();
        resolve(true);
      };
      const cancel = clock.timer(timeoutMs, () => {
        place.waiting.splice(place.waiting.indexOf(granted), 1);
        resolve(false);
      });
      place.waiting.push(granted);
    });
  }

  /** One that need not wait, and counts until {@link leave}. */
  enter(source: string, limit: number): void {
    if (limit > 0) this.#at(source).running++;
  }

  /** The source is busy until `ended`, when the loader has really ended. */
  leave(source: string, limit: number, ended: Promise<unknown>): void {
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
