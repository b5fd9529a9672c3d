import type { Clock } from '../../redis/index.js';

/** How long the first publish rests before it looks again: AGAIN_MS, then half as long again each time, at most AGAIN_MOST_MS. */
const AGAIN_MS = 20;
const AGAIN_MOST_MS = 500;

interface Waiter {
  /** Ends its rest. */
  wake: () => void;
}

/**
 * Publishes of this process that wait for room in one queue, in the order of the calls. Only the first one looks whether there is room:
 * however many wait, this is one call in 20 ms to 500 ms.
 */
export class RoomLine {
  readonly #clock: Clock;
  readonly #waiters: Waiter[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a publish waits, so that others have to stand behind it. */
  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  /**
   * Resolves to what `look` resolves to, once it is not undefined. Resolves to undefined after `waitMs`, and rejects with the reason
   * of `signal`, or with what `look` rejects with.
   */
  async wait<T>(
    waitMs: number,
    signal: AbortSignal | undefined,
    look: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const endMs = this.#clock.monoMs() + waitMs;
    const me: Waiter = { wake: () => {} };
    this.#waiters.push(me);
    try {
      for (let restMs = AGAIN_MS; ; restMs = Math.min(AGAIN_MOST_MS, Math.ceil(restMs * 1.5))) {
        const leftMs = endMs - this.#clock.monoMs();
        if (leftMs <= 0) return undefined;
        const isFirst = this.#waiters[0] === me;
        await this.#rest(me, isFirst ? Math.min(leftMs, restMs) : leftMs, signal);
        if (this.#waiters[0] !== me) continue;
        const found = await look();
        if (found !== undefined) return found;
      }
    } finally {
      this.#waiters.splice(this.#waiters.indexOf(me), 1);
      this.#waiters[0]?.wake();
    }
  }

  async #rest(me: Waiter, ms: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.timer(ms, resolve);
      me.wake = () => {
        cancel();
        signal?.removeEventListener('abort', me.wake);
        resolve();
      };
      signal?.addEventListener('abort', me.wake, { once: true });
    });
    signal?.removeEventListener('abort', me.wake);
    signal?.throwIfAborted();
  }
}
