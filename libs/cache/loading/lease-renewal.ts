import type { CancelTimer, Clock } from '../../redis/index.js';
import type { CacheStore } from '../store/cache.store.js';
import type { WaitTicket } from './wait-ticket.js';

/**
 * The right to load a key, renewed at a third of its length until it ends.
 *
 * It is lost only when Redis says so: by a push (an invalidation of the key), or by a refused renewal (a tag of it, or
 * everything, was invalidated; a pause of this process; a push that did not arrive). A Redis that does not answer proves
 * nothing, the load goes on, and its fill is fenced.
 */
export class LeaseRenewal {
  readonly #store: CacheStore;
  readonly #clock: Clock;
  readonly #entry: string;
  readonly #ticket: WaitTicket;
  #cancel: CancelTimer | undefined;
  #renewing = false;
  /** How often a check was asked for. */
  #checks = 0;
  #ended = false;

  constructor(store: CacheStore, clock: Clock, entry: string, ticket: WaitTicket) {
    this.#store = store;
    this.#clock = clock;
    this.#entry = entry;
    this.#ticket = ticket;
    this.#renewSoon();
  }

  /** Stops renewing. Call before the lease is used up: by a fill, an error, a release. */
  end(): void {
    this.#ended = true;
    this.#cancel?.();
  }

  /** On the way out: whoever waits for this load may load itself. This one goes on, for its callers alone. */
  async release(): Promise<void> {
    this.end();
    await this.#store.release(this.#entry, this.#ticket.token).catch(() => {});
  }

  /** Renews at once, to learn whether it is lost by now. However often it is called, one renewal is on its way. */
  check(): void {
    if (this.#ended) return;
    this.#checks++;
    if (this.#renewing) return;
    this.#cancel?.();
    void this.#renew();
  }

  #renewSoon(): void {
    this.#cancel = this.#clock.timer(this.#store.timing.leaseMs / 3, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    this.#renewing = true;
    const checks = this.#checks;
    const mine = await this.#store.renew(this.#entry, this.#ticket.token).catch(() => undefined);
    this.#renewing = false;
    if (this.#ended) return;
    if (mine === false) this.#ticket.invalidate();
    else if (this.#checks > checks) this.check();
    else this.#renewSoon();
  }
}
