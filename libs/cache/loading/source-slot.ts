import type { CancelTimer, Clock } from '../../redis/index.js';
import type { CacheStore } from '../store/cache.store.js';

/**
 * A loader's slot at a source that limits concurrent loads. The slot is renewed until the loader has ended, even if the lease of
 * the load was lost.
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

  /** Gives the slot back. The caller need not wait: the store repeats the release until Redis confirms it. */
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
    // A missing answer proves nothing. The renewal is sent again.
    await this.#store.renewSlot(this.#source, this.#token).catch(() => {});
    if (!this.#left) this.#renewSoon();
  }
}
