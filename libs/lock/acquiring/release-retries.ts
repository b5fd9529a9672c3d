import { Loop, isUnavailable, type Clock } from '../../redis/index.js';
import type { LockIdentity } from '../store/lock-request.js';

/** The pause between two tries of a release, in milliseconds. The pause ends early when Redis answers again. */
const RETRY_MS = 200;

/** A release that Redis has not confirmed. */
export interface Pending extends LockIdentity {
  /** The end of the lease, on the monotonic clock. After that time there is nothing left to release. */
  readonly untilMs: number;
  /** How long after its grant the lock stays held, in milliseconds. Undefined: as its first release said, if there was one. */
  readonly minHoldMs: number | undefined;
}

/** Sends one release. */
export interface Releaser {
  releaseNow(identity: LockIdentity, minHoldMs: number | undefined): Promise<unknown>;
  onError(error: unknown, name: string): void;
}

/**
 * Repeats, in the background, the releases that Redis did not answer. A release may be that of a lock, of a place in the queue,
 * or of a grant that no call waits for. Each release is repeated until it succeeds, or until its lease is over.
 */
export class ReleaseRetries {
  readonly #clock: Clock;
  readonly #releaser: Releaser;
  /** The releases, by nonce. */
  readonly #pending = new Map<string, Pending>();
  readonly #loop: Loop;

  constructor(clock: Clock, releaser: Releaser) {
    this.#clock = clock;
    this.#releaser = releaser;
    this.#loop = new Loop({
      name: 'lock release retries',
      turn: () => this.#turn(),
      onError: (error, name) => {
        releaser.onError(error, name);
      },
      clock,
    });
  }

  /** @param ttlMs after this time, in milliseconds, there is nothing left to release */
  add({ keys, nonce, owner }: LockIdentity, ttlMs: number, minHoldMs?: number): void {
    this.#pending.set(nonce, { keys, nonce, owner, untilMs: this.#clock.monoMs() + ttlMs, minHoldMs });
    this.#loop.start();
    this.#loop.wake();
  }

  /** A call waits for this acquisition again. So a grant that Redis makes to it from now on must not be released. */
  keep(nonce: string): void {
    this.#pending.delete(nonce);
  }

  /** Redis answers again. */
  retry(): void {
    this.#loop.wake();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
  }

  async #turn(): Promise<number | undefined> {
    await Promise.all([...this.#pending.values()].map((each) => this.#try(each)));
    return this.#pending.size === 0 ? undefined : RETRY_MS;
  }

  async #try(pending: Pending): Promise<void> {
    try {
      await this.#releaser.releaseNow(pending, pending.minHoldMs);
    } catch (error) {
      // A release is repeated even after a lasting refusal. The release names its nonce, so a repeat is safe. A repeat is useless
      // only when the lease is over.
      if (this.#clock.monoMs() < pending.untilMs) return;
      if (!isUnavailable(error)) this.#releaser.onError(error, 'lock release');
    }
    // Meanwhile the same acquisition may have been granted again, and its new release may have been added.
    const { nonce } = pending;
    if (this.#pending.get(nonce) === pending) this.#pending.delete(nonce);
  }
}
