import { isUnavailable, type Clock } from '../../redis/index.js';

/** Tries to give something back. The caller runs `confirmed` if the answer comes after the promise was rejected. */
export type Release<T = unknown> = (confirmed: () => void) => Promise<T>;

/** As many as are remembered. If one outage leaves more, the oldest are left to end with their leases. */
const MOST = 10_000;

/** Between two tries of what Redis refused for the moment. */
const RETRY_MS = 200;

interface Pending {
  readonly release: Release;
  /** Since a refusal: until then it is tried again every {@link RETRY_MS}. Undefined: Redis has not refused it. */
  repeatUntilMs: number | undefined;
}

/**
 * What this process holds in Redis, or may hold, and has no use for: leases, slots, places in queues. Redis has not confirmed
 * that these were given back.
 *
 * - Redis refused the release: it is repeated every 200 ms until the lease is over.
 * - Redis did not answer: it is repeated with the next connection. Until then the release is on its way, or cannot be sent.
 *
 * Nothing is forgotten by time, unlike the releases of locks: a Redis that hung grants what it was asked for whenever it goes
 * on. A release names a token, which is granted only once: a release too many, or too late, changes nothing.
 */
export class ReleaseRetries {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #pending = new Map<string, Pending>();
  /** A repetition is due soon. */
  #repeating = false;

  /** @param leaseMs how long what is held lasts in Redis */
  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** Tries now. If Redis does not confirm it, it is repeated in the background. */
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

  /** Repeats it in the background, unless it is settled before. `error`: what Redis answered, or that it did not. */
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

  /** There is nothing to be given back under this name any more. */
  settle(name: string): void {
    this.#pending.delete(name);
  }

  /** There is a new connection: tries all. */
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
