import {
  Deadline,
  certainMs,
  instantOf,
  remainingMs,
  type Clock,
  type DeadlineQueue,
  type Instant,
} from '../../redis/index.js';

/** A lock granted: its token, and from when on how much of it is certain. */
export interface LeaseGrant {
  readonly token: number;
  /** The same as Redis wrote it, where that is at hand. */
  readonly text?: string | undefined;
  readonly from: Instant;
  readonly validMs: number;
  /** When this process learned of it. */
  readonly at: Instant;
  /** False after a push: provisional until the full lease is claimed. */
  readonly claimed: boolean;
}

/** What was agreed on when the lock was taken. */
export interface LeaseTerms {
  readonly ttlMs: number;
  readonly renew: boolean;
  /** Infinity: none. */
  readonly maxHoldMs: number;
}

/** Whose lease it is. */
export interface Leaseholder {
  /**
   * Asks Redis for a full lease from now. False: this acquisition holds the lock no more.
   *
   * @param generation how many extensions were asked for before or by this: what arrives after a later one changes nothing
   */
  renew(ttlMs: number, generation: number, deadlineMs: number): Promise<boolean>;
  lost(reason: 'expired' | 'taken'): void;
  /** It is held for longer than was meant. */
  heldTooLong(): void;
}

/**
 * How long a held lock may be counted on, and the renewals that move that on.
 *
 * `held` is computed, so it is right even while the event loop was blocked; the timer only brings the news. A lease
 * that was over once is never valid again, whatever reply comes late.
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
  /** Counts extensions: the reply to a renewal sent before one says nothing about the lease after it. */
  #generation = 0;
  /** When the next request is due, on the monotonic clock; and when it is held too long. */
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
    // A provisional grant is claimed by the next timer: whoever was waiting for it starts first, and may be done by then.
    this.#renewAtMs = grant.claimed ? this.#nextRenewal(now) : now;
    this.#arm(now, remainingMs(grant.at, grant.from, grant.validMs));
  }

  get remainingMs(): number {
    return this.#over ? 0 : remainingMs(instantOf(this.#clock), this.#from, this.#validMs);
  }

  /** Whether another length was ever asked for: then Redis keeps a record of it beside the lock. */
  get isExtended(): boolean {
    return this.#generation > 0;
  }

  /** On the wall clock: for people, not for decisions. */
  get expiresAtMs(): number {
    return Math.floor(this.#from.wallMs + certainMs(this.#validMs));
  }

  /** The end of counting on it: renewals stop, replies are ignored, nothing is reported. */
  end(): void {
    this.#over = true;
    this.#times.unset(this);
  }

  /** Makes the lease `ttlMs`, from now. False: lost. */
  async extend(ttlMs: number): Promise<boolean> {
    this.#generation++;
    this.#ttlMs = ttlMs;
    const from = instantOf(this.#clock);
    // If it gets shorter, it may be so from the moment of sending on.
    if (ttlMs < this.remainingMs) this.#count(from, ttlMs);
    // Not later than planned: a claim that is still due goes on being asked for.
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
      // Asked again until an answer comes; earlier answers count as well, so requests may overlap.
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
    // An answer after the end of the validity is of no use.
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
