import type { Clock, Link } from '../../redis/index.js';
import { lookScript } from '../store/scripts/look.script.js';
import { withoutKnown } from './ordered/known-uses.js';
import { renewScript, type Renewal } from '../store/scripts/renew.script.js';

export interface WorkerLeaseOptions {
  link: Link;
  clock: Clock;
  /** The sorted set of one queue's leases. */
  alive: string;
  /** The key that is set while the queue is paused. */
  pausedKey: string;
  /** The key that names the features in the queue's data. */
  usesKey: string;
  consumer: string;
  leaseMs: number;
  /** Whether the handler runs the tasks of each ordering key in order. Otherwise an ordered queue is left alone. */
  ordered?: boolean;
}

/** A period of time on the server's clock, in milliseconds. */
export interface Span {
  readonly sinceMs: number;
  readonly endsMs: number;
}

const NEVER: Span = { sinceMs: 0, endsMs: 0 };

/** The lease of this process on one queue, on the server's clock. */
export class WorkerLease {
  readonly #options: WorkerLeaseOptions;
  #unbroken: Span = NEVER;
  #paused = false;
  #pausedHere = false;
  #unknown: string | undefined;
  /** How many messages have said that the queue is paused. */
  #pauseMessages = 0;
  #heldUntil = { monoMs: -Infinity, wallMs: -Infinity };

  constructor(options: WorkerLeaseOptions) {
    this.#options = options;
  }

  get leaseMs(): number {
    return this.#options.leaseMs;
  }

  /** The period during which the lease is known to be unbroken. */
  get unbroken(): Span {
    return this.#unbroken;
  }

  /** Whether the lease was taken once. From then on this process may hold tasks, and must renew the lease. */
  get taken(): boolean {
    return this.#unbroken !== NEVER;
  }

  /** Whether the queue was paused at the last renewal. */
  get paused(): boolean {
    return this.#paused;
  }

  /** The features in the queue that this release does not know, as text; undefined: none, at the last look. */
  get unknown(): string | undefined {
    return this.#unknown;
  }

  /** Whether no task may start: the queue is paused, in the fleet or here, or has data that this release does not know. */
  get halted(): boolean {
    return this.#paused || this.#pausedHere || this.#unknown !== undefined;
  }

  /** Whether the lease still runs, counted from when the last successful renewal was *sent*. At worst it ends too early here. */
  get held(): boolean {
    const { clock } = this.#options;
    // The monotonic clock stands still while the machine sleeps.
    return clock.monoMs() < this.#heldUntil.monoMs && clock.wallMs() < this.#heldUntil.wallMs;
  }

  /** A message said that the queue is paused. The next renewal checks this. Returns false if the pause was known already. */
  markPaused(): boolean {
    this.#pauseMessages++;
    const known = this.#paused;
    this.#paused = true;
    return !known;
  }

  /** The queue is paused in this process, or not any more. Nothing but a call in this process changes that. */
  pauseHere(on: boolean): void {
    this.#pausedHere = on;
  }

  /** Whether the lease has been unbroken for a whole lease. Only then may this process declare others dead. */
  get mayJudge(): boolean {
    const { sinceMs, endsMs } = this.#unbroken;
    return endsMs - sinceMs >= 2 * this.#options.leaseMs;
  }

  /** Looks whether the queue has data that this release does not know, before this process takes a lease. */
  async look(): Promise<void> {
    const { link, usesKey: uses } = this.#options;
    this.#unknown = this.#left(await lookScript.run(link, { keys: { uses }, args: {} }));
  }

  /** The features that make this process leave the queue alone. */
  #left(unknown: string | undefined): string | undefined {
    return withoutKnown(unknown, this.#options.ordered === true);
  }

  /** Takes or extends the lease. Resolves to false if it may have ended in between: other processes may have the tasks now. */
  async renew(): Promise<boolean> {
    const { link, alive, pausedKey: paused, usesKey: uses, consumer, leaseMs } = this.#options;
    const renewed = this.renewing();
    return renewed(
      await renewScript.run(
        link,
        { keys: { alive, paused, uses }, args: { consumer, leaseMs } },
        { deadlineMs: leaseMs },
      ),
    );
  }

  /** A renewal is being sent. The returned function takes its reply, and returns what {@link renew} resolves to. */
  renewing(): (renewal: Renewal) => boolean {
    const { clock, leaseMs } = this.#options;
    const heldUntil = { monoMs: clock.monoMs() + leaseMs, wallMs: clock.wallMs() + leaseMs };
    const pauseMessages = this.#pauseMessages;
    return ({ unbroken, nowMs, paused, unknown }) => {
      this.#unknown = this.#left(unknown);
      // A renewal that was sent before the message may report the state before the pause.
      if (paused || pauseMessages === this.#pauseMessages) this.#paused = paused;
      // `unbroken` means: since the last renewal. The reply of the last renewal may have been lost, and with it the news that the
      // lease had ended. So the lease continues only if this renewal came before the end that this process knows.
      // If the server's clock was set back, the known span is useless: compared with the new time, it lies in the future.
      const setBack = nowMs < this.#unbroken.endsMs - leaseMs;
      const continues = !setBack && unbroken && nowMs < this.#unbroken.endsMs;
      const first = this.#unbroken === NEVER;
      this.#unbroken = { sinceMs: continues ? this.#unbroken.sinceMs : nowMs, endsMs: nowMs + leaseMs };
      this.#heldUntil = heldUntil;
      return continues || first;
    };
  }
}
