import type { Clock, Link } from '../../redis/index.js';
import { renewScript } from '../store/scripts/renew.script.js';

export interface WorkerLeaseOptions {
  link: Link;
  clock: Clock;
  /** The sorted set of one queue's leases. */
  alive: string;
  /** The key that is set while the queue is paused. */
  pausedKey: string;
  consumer: string;
  leaseMs: number;
}

/** A stretch of time on the server's clock, in milliseconds. */
export interface Span {
  readonly sinceMs: number;
  readonly endsMs: number;
}

const NEVER: Span = { sinceMs: 0, endsMs: 0 };

/** This process' sign of life on one queue, on the server's clock. */
export class WorkerLease {
  readonly #options: WorkerLeaseOptions;
  #unbroken: Span = NEVER;
  #paused = false;
  #heldUntil = { monoMs: -Infinity, wallMs: -Infinity };

  constructor(options: WorkerLeaseOptions) {
    this.#options = options;
  }

  /** What is known of the lease: that it is unbroken from then until then. */
  get unbroken(): Span {
    return this.#unbroken;
  }

  /** It was taken once: from then on there may be work that others take over when nothing is heard. */
  get taken(): boolean {
    return this.#unbroken !== NEVER;
  }

  /** Whether the queue was paused when last heard of. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Whether it still runs, counted from when the last successful renewal was *sent*: at worst too early. */
  get held(): boolean {
    const { clock } = this.#options;
    // The monotonic clock stands still while the machine sleeps.
    return clock.monoMs() < this.#heldUntil.monoMs && clock.wallMs() < this.#heldUntil.wallMs;
  }

  /** Takes or extends it. Resolves to false when it may have ended in between: others may have our work now. */
  async renew(): Promise<boolean> {
    const { link, clock, alive, pausedKey: paused, consumer, leaseMs } = this.#options;
    const heldUntil = { monoMs: clock.monoMs() + leaseMs, wallMs: clock.wallMs() + leaseMs };
    const call = { keys: { alive, paused }, args: { consumer, leaseMs } };
    const { unbroken, nowMs, ...told } = await renewScript.run(link, call, { deadlineMs: leaseMs });
    this.#paused = told.paused;
    // Unbroken since the last renewal, says the server. That may have been one whose reply was lost, and with it the
    // news that the lease had ended: only what begins before the end that we know of continues what we know.
    const continues = unbroken && nowMs < this.#unbroken.endsMs;
    const first = this.#unbroken === NEVER;
    this.#unbroken = { sinceMs: continues ? this.#unbroken.sinceMs : nowMs, endsMs: nowMs + leaseMs };
    this.#heldUntil = heldUntil;
    return continues || first;
  }
}
