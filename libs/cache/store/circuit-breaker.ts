import { RedisUnavailableError, type Clock } from '../../redis/index.js';

/** Between two questions to a Redis that hangs, to find out whether it still does. */
const RETRY_MS = 400;

/** Redis hangs, and was not asked. */
export class CircuitOpenError extends RedisUnavailableError {
  constructor(cause: unknown) {
    super('Redis did not answer a moment ago, and is not asked again yet', 'not-sent', { cause });
  }
}

/**
 * Spares readers the wait for a Redis that hangs: after one has waited in vain, the next go to the source at once, but for one
 * every 400 ms who tries. Any answer, however late, and any new connection ends it.
 */
export class CircuitBreaker {
  readonly #clock: Clock;
  #cause: unknown;
  #retryAtMs = -Infinity;
  #open = false;
  readonly #silenceMs: number;
  readonly #onOpen: () => void;
  #repliedAtMs = -Infinity;

  /**
   * @param silenceMs how long Redis has answered nothing at all when it counts as hanging
   * @param onOpen called when it begins to count as hanging
   */
  constructor(clock: Clock, silenceMs = 0, onOpen: () => void = () => {}) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#onOpen = onOpen;
  }

  /** Runs a read, unless Redis is known to hang. */
  async guard<T>(read: () => Promise<T>): Promise<T> {
    this.admit();
    return this.watch(read());
  }

  /** @throws RedisUnavailableError when Redis is known to hang, and it is not this reader's turn to try */
  admit(): void {
    if (!this.#open) return;
    const now = this.#clock.monoMs();
    if (now < this.#retryAtMs) {
      throw new CircuitOpenError(this.#cause);
    }
    this.#retryAtMs = now + RETRY_MS;
  }

  /** Learns from a read that was admitted. */
  async watch<T>(read: Promise<T>): Promise<T> {
    try {
      const reply = await read;
      this.close();
      return reply;
    } catch (error) {
      // A refusal is an answer.
      if (error instanceof RedisUnavailableError && error.refusal === undefined) this.#trip(error);
      else this.close();
      throw error;
    }
  }

  /** Redis has answered something. */
  close(): void {
    this.#repliedAtMs = this.#clock.monoMs();
    this.#open = false;
  }

  #trip(error: RedisUnavailableError): void {
    // One that was not sent was refused at once: nobody waited.
    if (error.outcome === 'not-sent') return;
    // One late reply is no outage: a large batch, a large value or a busy processor delays it while others arrive.
    if (this.#clock.monoMs() - this.#repliedAtMs < this.#silenceMs) return;
    const opened = !this.#open;
    this.#open = true;
    this.#cause = error;
    this.#retryAtMs = this.#clock.monoMs() + RETRY_MS;
    if (opened) this.#onOpen();
  }
}
