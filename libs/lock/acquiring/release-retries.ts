import { Loop, isUnavailable, type Clock } from '../../redis/index.js';
import type { LockIdentity } from '../store/lock-request.js';

/** Between two tries of a release, unless Redis reports back before. */
const RETRY_MS = 200;

/** A release that Redis has not confirmed. */
export interface Pending extends LockIdentity {
  /** The end of the lease, on the monotonic clock. After it there is nothing left to release. */
  readonly untilMs: number;
  /** How long the lock stays held since its grant; undefined: as its first release said, if there was one. */
  readonly minHoldMs: number | undefined;
}

/** Sends one release. */
export interface Releaser {
  releaseNow(identity: LockIdentity, minHoldMs: number | undefined): Promise<unknown>;
  onError(error: unknown, name: string): void;
}

/**
 * Repeats, in the background, the releases that Redis did not answer: of a lock, of a place in the queue, of a grant
 * that no call waits for. Each is repeated until it succeeds or its lease is over anyway.
 */
export class ReleaseRetries {
  readonly #clock: Clock;
  readonly #releaser: Releaser;
  /** By nonce. */
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

  /** @param ttlMs after this there is nothing left to release */
  add({ keys, nonce, owner }: LockIdentity, ttlMs: number, minHoldMs?: number): void {
    this.#pending.set(nonce, { keys, nonce, owner, untilMs: this.#clock.monoMs() + ttlMs, minHoldMs });
    this.#loop.start();
    this.#loop.wake();
  }

  /** A call waits for this acquisition again: what Redis grants to it from now on is not to be released. */
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
      // Also after a refusal for good: a release names its nonce, so repeating it is safe, and only a lost lease makes it
      // useless.
      if (this.#clock.monoMs() < pending.untilMs) return;
      if (!isUnavailable(error)) this.#releaser.onError(error, 'lock release');
    }
    // The same acquisition may have been granted, and added, once more since.
    const { nonce } = pending;
    if (this.#pending.get(nonce) === pending) this.#pending.delete(nonce);
  }
}
