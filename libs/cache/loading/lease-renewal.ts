import type { CancelTimer, Clock } from '../../redis/index.js';
import type { CacheStore } from '../store/cache.store.js';
import type { WaitTicket } from './wait-ticket.js';

/**
 * The right to load a key. It is renewed after each third of its length until it ends.
 *
 * The lease is lost only when Redis says so:
 * - by a push: the key was invalidated
 * - by a refused renewal: a tag of the key or everything was invalidated, this process paused, or a push did not arrive
 *
 * A missing answer proves nothing. The load goes on, and its fill is fenced.
 */
export class LeaseRenewal {
  readonly #store: CacheStore;
  readonly #clock: Clock;
  readonly #entry: string;
  readonly #ticket: WaitTicket;
  #cancel: CancelTimer | undefined;
  #renewing = false;
  /** The number of calls of {@link check}. */
  #checks = 0;
  #ended = false;

  constructor(store: CacheStore, clock: Clock, entry: string, ticket: WaitTicket) {
    this.#store = store;
    this.#clock = clock;
    this.#entry = entry;
    this.#ticket = ticket;
    this.#renewSoon();
  }

  /** Stops renewing. Call it before a fill, an error or a release ends the lease. */
  end(): void {
    this.#ended = true;
    this.#cancel?.();
  }

  /** Called at shutdown: gives up the lease, so that a waiting request can load. This load goes on for its own callers. */
  async release(): Promise<void> {
    this.end();
    await this.#store.release(this.#entry, this.#ticket.token).catch(() => {});
  }

  /** Renews at once, to learn whether the lease is lost. At most one renewal is under way, however often this is called. */
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
