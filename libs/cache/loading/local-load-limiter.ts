import type { Clock } from '../../redis/index.js';

interface Place {
  running: number;
  readonly waiting: (() => void)[];
}

/**
 * Counts the loaders that this process runs at each source with a limit. Redis allots the slots of the fleet. While Redis cannot
 * be reached, this limit holds instead: loads without a lease wait here for their turn. Loads that began under a lease count too.
 */
export class LocalLoadLimiter {
  readonly #places = new Map<string, Place>();

  /**
   * Resolves to true when one more loader may run, first come, first served. That loader counts until {@link leave}. Resolves to
   * false after `timeoutMs`.
   */
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

  /** Counts a loader that need not wait, until {@link leave}. */
  enter(source: string, limit: number): void {
    if (limit > 0) this.#at(source).running++;
  }

  /** The loader counts until `ended` resolves, when the loader has really ended. */
  leave(source: string, limit: number, ended: Promise<unknown>): void {
    if (limit === 0) return;
    void ended.then(() => {
      const place = this.#at(source);
      place.running--;
      while (place.running < limit && place.waiting.length > 0) {
        // The loader is counted at once, so that no later caller takes its turn.
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
