import { RedisUnavailableError, type Clock } from '../../redis/index.js';

/** The time between two questions to a Redis that hangs. They find out whether it still hangs. */
const RETRY_MS = 400;

/** The read was not sent, because Redis hangs. */
export class CircuitOpenError extends RedisUnavailableError {
  constructor(cause: unknown) {
    super('Redis did not answer a moment ago, and is not asked again yet', 'not-sent', { cause });
  }
}

/**
 * Keeps readers from waiting for a Redis that hangs. After one reader has waited without an answer, the next readers go to the
 * source at once, except for one reader every 400 ms, which asks Redis. Any answer, however late, and any new connection ends
 * this.
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
   * @param silenceMs Redis counts as hanging when it has answered nothing at all for this long
   * @param onOpen called when Redis begins to count as hanging
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

  /** Waits for a read that was admitted, and learns from its outcome whether Redis hangs. */
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
    // A command that was not sent failed at once, so no reader has waited.
    if (error.outcome === 'not-sent') return;
    // One late reply is no outage. A large batch, a large value or a busy processor delays it while other replies arrive.
    if (this.#clock.monoMs() - this.#repliedAtMs < this.#silenceMs) return;
    const opened = !this.#open;
    this.#open = true;
    this.#cause = error;
    this.#retryAtMs = this.#clock.monoMs() + RETRY_MS;
    if (opened) this.#onOpen();
  }
}
