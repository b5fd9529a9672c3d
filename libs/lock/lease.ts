import type { CancelTimer, Clock } from '../redis/index.js';
import { certainMs, instantOf, remainingMs, type Instant } from './instant.js';

/** How often, at least, both clocks are looked at: a timer sleeps through a suspended machine. */
const LOOK_EVERY_MS = 1_000;

export interface LeaseOptions {
  clock: Clock;
  ttlMs: number;
  renew: boolean;
  /** What is held from the start: granted for `validMs`, asked for at `from`. */
  from: Instant;
  validMs: number;
  /** False after a pushed grant: the full lease is still to be claimed. */
  claimed: boolean;
  /** Asks Redis for a full lease from now. False: this acquisition holds the lock no more. */
  request: (ttlMs: number, deadlineMs: number) => Promise<boolean>;
  onLost: (why: 'expired' | 'taken') => void;
}

/**
 * How long a held lock may be counted on, and the renewals that move that on.
 *
 * `held` is computed, so it is right even while the event loop was blocked; the timer only brings the news. A lease
 * that was over once is never valid again, whatever reply comes late.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #clock: Clock;
  #ttlMs: number;
  /** Validity: `#validMs` from `#from` on. */
  #from: Instant;
  #validMs: number;
  #over = false;
  /** Counts extensions: the reply to a renewal sent before one says nothing about the lease after it. */
  #epoch = 0;
  /** When the next request is due, on the monotonic clock. */
  #renewAtMs: number;
  #cancel: CancelTimer | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#ttlMs = options.ttlMs;
    this.#from = options.from;
    this.#validMs = options.validMs;
    this.#renewAtMs = options.claimed ? this.#nextRenewal() : 0;
    this.#tick();
  }

  get remainingMs(): number {
    return this.#over ? 0 : remainingMs(this.#clock, this.#from, this.#validMs);
  }

  /** On the wall clock: for people, not for decisions. */
  get expiresAtMs(): number {
    return Math.floor(this.#from.wallMs + certainMs(this.#validMs));
  }

  /** The end of counting on it: renewals stop, replies are ignored, nothing is reported. */
  end(): void {
    this.#over = true;
    this.#cancel?.();
  }

  /** Makes the lease `ttlMs`, from now. False: lost. */
  async extend(ttlMs: number): Promise<boolean> {
    this.#epoch++;
    this.#ttlMs = ttlMs;
    const from = instantOf(this.#clock);
    // If it gets shorter, it may be so from the moment of sending on.
    if (ttlMs < this.remainingMs) this.#count(from, ttlMs);
    // Not later than planned: a claim that is still due goes on being asked for.
    this.#renewAtMs = Math.min(this.#renewAtMs, this.#nextRenewal());
    this.#arm();
    return this.#request(from);
  }

  #count(from: Instant, validMs: number): void {
    this.#from = from;
    this.#validMs = validMs;
  }

  #nextRenewal(): number {
    return this.#options.renew ? this.#clock.monoMs() + this.#ttlMs / 3 : Infinity;
  }

  #tick(): void {
    if (this.remainingMs <= 0) {
      this.#lose('expired');
      return;
    }
    const now = this.#clock.monoMs();
    if (now >= this.#renewAtMs) {
      // Asked again until an answer comes; earlier answers count as well, so requests may overlap.
      this.#renewAtMs = now + Math.max(10, this.#ttlMs / 15);
      this.#request(instantOf(this.#clock)).catch(() => {});
    }
    this.#arm();
  }

  #arm(): void {
    this.#cancel?.();
    const untilRenewalMs = this.#renewAtMs - this.#clock.monoMs();
    const waitMs = Math.min(this.remainingMs, untilRenewalMs, LOOK_EVERY_MS);
    this.#cancel = this.#clock.timer(Math.max(1, Math.ceil(waitMs)), () => {
      this.#tick();
    });
  }

  async #request(from: Instant): Promise<boolean> {
    const epoch = this.#epoch;
    const ttlMs = this.#ttlMs;
    // An answer after the end of the validity is of no use.
    const held = await this.#options.request(ttlMs, Math.max(1, Math.ceil(this.remainingMs)));
    if (this.#over) return false;
    if (!held) this.#lose('taken');
    else if (this.remainingMs <= 0) this.#lose('expired');
    else if (epoch === this.#epoch && remainingMs(this.#clock, from, ttlMs) > this.remainingMs) {
      this.#count(from, ttlMs);
      this.#renewAtMs = this.#nextRenewal();
      this.#arm();
    }
    return !this.#over;
  }

  #lose(why: 'expired' | 'taken'): void {
    this.end();
    this.#options.onLost(why);
  }
}
