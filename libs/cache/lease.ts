import type { CancelTimer, Clock } from '../redis/index.js';
import type { CacheStore } from './cache.store.js';
import type { Request } from './wake-ups.js';

/**
 * The right to load a key, renewed at a third of its length until it ends.
 *
 * It is lost only when Redis says so: by a push (an invalidation), or by a refused renewal (a pause of this process,
 * or a push that did not arrive). A Redis that does not answer proves nothing, the load goes on, and its fill is fenced.
 */
export class Lease {
  readonly #store: CacheStore;
  readonly #clock: Clock;
  readonly #entry: string;
  readonly #request: Request;
  #cancel: CancelTimer | undefined;
  #ended = false;

  constructor(store: CacheStore, clock: Clock, entry: string, request: Request) {
    this.#store = store;
    this.#clock = clock;
    this.#entry = entry;
    this.#request = request;
    this.#renewSoon();
  }

  /** Stops renewing. Call before the lease is used up: by a fill, an error, a release. */
  end(): void {
    this.#ended = true;
    this.#cancel?.();
  }

  /** On the way out: whoever waits for this load may load itself. This one goes on, for its callers alone. */
  async giveBack(): Promise<void> {
    this.end();
    await this.#store.release(this.#entry, this.#request.token).catch(() => {});
  }

  #renewSoon(): void {
    this.#cancel = this.#clock.timer(this.#store.timing.leaseMs / 3, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const mine = await this.#store.renew(this.#entry, this.#request.token).catch(() => undefined);
    if (this.#ended) return;
    if (mine === false) this.#request.void();
    else this.#renewSoon();
  }
}
