import { isUnavailable, type Clock } from '../../redis/index.js';

/** Tries to give something back. It must call `confirmed` if the answer comes after its promise was rejected. */
export type Release<T = unknown> = (confirmed: () => void) => Promise<T>;

/** The most releases that are remembered. If one outage leaves more, the oldest are forgotten, and end with their leases. */
const MOST = 10_000;

/** The time between two tries of a release that Redis refused for the moment. */
const RETRY_MS = 200;

interface Pending {
  readonly release: Release;
  /**
   * Set by the first refusal. Until this time the release is repeated every {@link RETRY_MS}. Undefined: Redis has not refused
   * the release.
   */
  repeatUntilMs: number | undefined;
}

/**
 * The leases, slots and places in queues that this process holds in Redis, or may hold, but does not use. Redis has not confirmed
 * that they were given back.
 *
 * - Redis refused the release: the release is repeated every 200 ms until the lease is over.
 * - Redis did not answer: the release is repeated with the next connection. Until then it is on its way, or cannot be sent.
 *
 * Unlike the releases of locks, no release is forgotten because time has passed. A Redis that hung grants what it was asked for
 * whenever it goes on. A release names a token, and a token is granted only once. So a repeated or late release changes nothing.
 */
export class ReleaseRetries {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #pending = new Map<string, Pending>();
  /** A timer for the next repetition is running. */
  #repeating = false;

  /** @param leaseMs how long a lease or slot lasts in Redis */
  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** Tries a release now. If Redis does not confirm the release, it is repeated in the background. */
  async now<T>(name: string, release: Release<T>): Promise<T> {
    try {
      const reply = await release(() => {
        this.settle(name);
      });
      this.settle(name);
      return reply;
    } catch (error) {
      this.later(name, release, error);
      throw error;
    }
  }

  /**
   * Repeats a release in the background, unless it is settled before. `error`: what Redis answered, or that Redis did not answer.
   */
  later(name: string, release: Release, error: unknown): void {
    const known = this.#pending.get(name);
    const pending = known?.release === release ? known : { release, repeatUntilMs: undefined };
    this.#pending.set(name, pending);
    if (isUnavailable(error) && error.refusal !== undefined) this.#repeat(pending);
    for (const oldest of this.#pending.keys()) {
      if (this.#pending.size <= MOST) return;
      this.#pending.delete(oldest);
    }
  }

  /** Nothing needs to be given back under this name any more. */
  settle(name: string): void {
    this.#pending.delete(name);
  }

  /** Called when there is a new connection: tries all releases. */
  async retry(): Promise<void> {
    await this.#retry(() => true);
  }

  #repeat(pending: Pending): void {
    const nowMs = this.#clock.monoMs();
    pending.repeatUntilMs ??= nowMs + this.#leaseMs;
    if (nowMs >= pending.repeatUntilMs) return;
    if (this.#repeating) return;
    this.#repeating = true;
    this.#clock.timer(RETRY_MS, () => {
      this.#repeating = false;
      void this.#retry(({ repeatUntilMs = 0 }) => this.#clock.monoMs() < repeatUntilMs);
    });
  }

  async #retry(which: (pending: Pending) => boolean): Promise<void> {
    const tries = [];
    for (const [name, pending] of this.#pending) if (which(pending)) tries.push(this.now(name, pending.release));
    await Promise.allSettled(tries);
  }
}
