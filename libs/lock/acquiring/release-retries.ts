import { Loop, isTransient, type Clock } from '../../redis/index.js';
import type { LockIdentity } from '../store/lock-request.js';

/** What is to be given back. */
export interface Pending extends LockIdentity {
  readonly untilMs: number;
  readonly minHoldMs: number | undefined;
}

/**
 * Gives back, in the background, what could not be given back at once because Redis did not answer: a lock, a place in
 * the queue, a grant that came for nobody. Each is tried until it succeeds or its lease is over anyway.
 */
export class ReleaseRetries {
  readonly #clock: Clock;
  readonly #release: (pending: Pending) => Promise<unknown>;
  readonly #pending = new Map<string, Pending>();
  readonly #loop: Loop;

  constructor(
    clock: Clock,
    release: (pending: Pending) => Promise<unknown>,
    onError: (error: unknown, name: string) => void,
  ) {
    this.#clock = clock;
    this.#release = release;
    this.#loop = new Loop({ name: 'lock give-back', turn: () => this.#turn(), onError, clock });
  }

  /**
   * @param ttlMs after this there is nothing left to give back
   * @param minHoldMs it stays held for so long since its grant; undefined: as was agreed when it was let go of, if it ever was
   */
  add({ keys, nonce, owner }: LockIdentity, ttlMs: number, minHoldMs?: number): void {
    this.#pending.set(nonce, { keys, nonce, owner, untilMs: this.#clock.monoMs() + ttlMs, minHoldMs });
    this.#loop.start();
    this.#loop.wake();
  }

  /** It is waited for again: what is granted now is not to go back. */
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
    return this.#pending.size === 0 ? undefined : 200;
  }

  async #try(pending: Pending): Promise<void> {
    try {
      await this.#release(pending);
    } catch (error) {
      if (isTransient(error) && this.#clock.monoMs() < pending.untilMs) return;
    }
    // It may have been granted, and added, once more since.
    const { nonce } = pending;
    if (this.#pending.get(nonce) === pending) this.#pending.delete(nonce);
  }
}
