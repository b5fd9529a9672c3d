import type { CancelTimer, Clock } from '../../redis/index.js';
import type { CacheStore } from '../store/cache.store.js';

/**
 * A loader's place at a source that takes only so many at once: renewed until the loader has ended, whatever became of its lease.
 */
export class SourceSlot {
  readonly #store: CacheStore;
  readonly #clock: Clock;
  readonly #source: string;
  readonly #token: string;
  readonly #limit: number;
  #cancel: CancelTimer | undefined;
  #left = false;

  constructor(store: CacheStore, clock: Clock, source: string, token: string, limit: number) {
    this.#store = store;
    this.#clock = clock;
    this.#source = source;
    this.#token = token;
    this.#limit = limit;
    this.#renewSoon();
  }

  /** Nobody waits for it to be confirmed: the store sees to that. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#cancel?.();
    this.#store.leaveSlot(this.#source, this.#token, this.#limit).catch(() => {});
  }

  #renewSoon(): void {
    this.#cancel = this.#clock.timer(this.#store.timing.leaseMs / 3, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    // A Redis that does not answer proves nothing, and is asked again.
    await this.#store.renewSlot(this.#source, this.#token).catch(() => {});
    if (!this.#left) this.#renewSoon();
  }
}
