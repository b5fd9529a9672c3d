import type { Clock } from '../../redis/index.js';
import type { ForcedRelease } from '../store/lock.store.js';

/** How long a message is kept, in milliseconds. The answer that granted the lock may come this much later than the message. */
const KEPT_MS = 60_000;

/**
 * Forced releases of locks that this process does not know yet. The message of a forced release may arrive before the answer, or
 * the push, that granted the lock.
 */
export class EarlyForceReleases {
  readonly #clock: Clock;
  /** The forced releases, by nonce. */
  readonly #early = new Map<string, { token: number; atMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add({ nonce, token }: ForcedRelease): void {
    const now = this.#clock.monoMs();
    for (const [old, { atMs }] of this.#early) if (now - atMs > KEPT_MS) this.#early.delete(old);
    this.#early.set(nonce, { token, atMs: now });
  }

  /** The token is compared, because a waiter that lost a grant by force goes on waiting and may be granted the lock again. */
  has(nonce: string, token: number): boolean {
    return this.#early.get(nonce)?.token === token;
  }
}
