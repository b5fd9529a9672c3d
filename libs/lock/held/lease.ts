import {
  Deadline,
  certainMs,
  instantOf,
  remainingMs,
  type Clock,
  type DeadlineQueue,
  type Instant,
} from '../../redis/index.js';

/** A grant: its token, and the instant from which on its lease is certain, for `validMs`. */
export interface LeaseGrant {
  readonly token: number;
  /** The token as Redis wrote it, where that is known. */
  readonly text?: string | undefined;
  readonly from: Instant;
  readonly validMs: number;
  /** When this process received the grant. */
  readonly at: Instant;
  /** False after a push: the grant is provisional until the full lease is claimed. */
  readonly claimed: boolean;
}

/** What the acquisition has asked for. */
export interface LeaseTerms {
  readonly ttlMs: number;
  readonly renew: boolean;
  /** Infinity: none. */
  readonly maxHoldMs: number;
}

/** The lock of a lease. */
export interface Leaseholder {
  /**
   * Asks Redis for a full lease from now on. Resolves to false if this acquisition does not hold the lock any more.
   *
   * @param generation the number of extensions so far. A request that arrives after a request of a later generation changes
   * nothing
   */
  renew(ttlMs: number, generation: number, deadlineMs: number): Promise<boolean>;
  lost(reason: 'expired' | 'taken'): void;
  /** The lock has been held for longer than `maxHoldMs`. */
  heldTooLong(): void;
}

/**
 * The validity of a held lock, and the renewals that prolong it.
 *
 * Whether the lock is held is computed from the clocks at each query, so the answer is right even after the event loop was
 * blocked. The timer only reports the end. A lease that has ended is never valid again, even if a late reply comes.
 *
 * @see docs/internals/lock.md#why-it-is-safe
 */
export class Lease extends Deadline {
  readonly #clock: Clock;
  readonly #times: DeadlineQueue;
  readonly #holder: Leaseholder;
  readonly #renew: boolean;
  #ttlMs: number;
  /** Validity: `#validMs` from `#from` on. */
  #from: Instant;
  #validMs: number;
  #over = false;
  /** Counts extensions. The reply to a renewal that was sent before an extension says nothing about the lease after it. */
  #generation = 0;
  /** On the monotonic clock: when the next renewal is due, and when the lock is overdue. */
  #renewAtMs: number;
  #tooLongAtMs: number;

  constructor(clock: Clock, times: DeadlineQueue, terms: LeaseTerms, grant: LeaseGrant, holder: Leaseholder) {
    super();
    this.#clock = clock;
    this.#times = times;
    this.#holder = holder;
    this.#renew = terms.renew;
    this.#ttlMs = terms.ttlMs;
    this.#from = grant.from;
    this.#validMs = grant.validMs;
    const now = grant.at.monoMs;
    this.#tooLongAtMs = now + terms.maxHoldMs;
    // A provisional grant is claimed by the next timer. The work starts before that, and may have ended by then.
    this.#renewAtMs = grant.claimed ? this.#nextRenewal(now) : now;
    this.#arm(now, remainingMs(grant.at, grant.from, grant.validMs));
  }

  get remainingMs(): number {
    return this.#over ? 0 : remainingMs(instantOf(this.#clock), this.#from, this.#validMs);
  }

  /** Whether the lease was ever extended: then Redis keeps a record of the generation beside the lock. */
  get isExtended(): boolean {
    return this.#generation > 0;
  }

  /** When the lease ends, on the wall clock. This time is for people to read: no decision depends on it. */
  get expiresAtMs(): number {
    return Math.floor(this.#from.wallMs + certainMs(this.#validMs));
  }

  /** The lock is released or lost: renewals stop, replies are ignored, nothing is reported. */
  end(): void {
    this.#over = true;
    this.#times.unset(this);
  }

  /**
   * Renews at once: what tells of a lost lock may have been lost, or the server may have lost the lock itself, as at a failover.
   * A lease that is not to be renewed stays as it is.
   */
  verify(): void {
    if (this.#over || !this.#renew) return;
    const now = this.#clock.monoMs();
    this.#renewAtMs = now;
    this.#arm(now);
  }

  /** Makes the lease `ttlMs` long, from now on. False: the lock is lost. */
  async extend(ttlMs: number): Promise<boolean> {
    this.#generation++;
    this.#ttlMs = ttlMs;
    const from = instantOf(this.#clock);
    // A shorter lease may hold from the moment when the request is sent.
    if (ttlMs < this.remainingMs) this.#count(from, ttlMs);
    // The next renewal comes no later than planned: a claim that Redis has not answered is repeated.
    this.#renewAtMs = Math.min(this.#renewAtMs, this.#nextRenewal(from.monoMs));
    this.#arm(from.monoMs);
    return this.#request(from);
  }

  override onClockStep(): void {
    if (this.remainingMs <= 0) this.#lose('expired');
  }

  override onDue(): void {
    if (this.remainingMs <= 0) {
      this.#lose('expired');
      return;
    }
    const now = this.#clock.monoMs();
    if (now >= this.#tooLongAtMs) {
      this.#tooLongAtMs = Infinity;
      this.#holder.heldTooLong();
      if (this.#over) return;
    }
    if (now >= this.#renewAtMs) {
      // The request is repeated until an answer comes. The answer to an earlier request counts as well, so requests may overlap.
      // A claim has less time than the lease that it asks for.
      this.#renewAtMs = now + Math.max(10, Math.min(this.#ttlMs, this.#validMs) / 15);
      this.#request(instantOf(this.#clock)).catch(() => {});
    }
    this.#arm(now);
  }

  #count(from: Instant, validMs: number): void {
    this.#from = from;
    this.#validMs = validMs;
  }

  #nextRenewal(now: number): number {
    return this.#renew ? now + this.#ttlMs / 3 : Infinity;
  }

  #arm(now: number, validMs = this.remainingMs): void {
    this.#times.set(this, Math.min(validMs, this.#renewAtMs - now, this.#tooLongAtMs - now), now);
  }

  async #request(from: Instant): Promise<boolean> {
    const generation = this.#generation;
    const ttlMs = this.#ttlMs;
    // An answer after the end of the validity is useless.
    const held = await this.#holder.renew(ttlMs, generation, Math.max(1, Math.ceil(this.remainingMs)));
    if (this.#over) return false;
    if (!held) this.#lose('taken');
    else if (this.remainingMs <= 0) this.#lose('expired');
    else if (generation === this.#generation && remainingMs(instantOf(this.#clock), from, ttlMs) > this.remainingMs) {
      this.#count(from, ttlMs);
      const now = this.#clock.monoMs();
      this.#renewAtMs = this.#nextRenewal(now);
      this.#arm(now);
    }
    return !this.#over;
  }

  #lose(reason: 'expired' | 'taken'): void {
    this.end();
    this.#holder.lost(reason);
  }
}
