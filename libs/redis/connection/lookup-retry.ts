import type { Redis } from 'ioredis';
import { reconnectDelayMs } from './client-options.js';

/**
 * Connects a client again that ioredis has ended while it looked for an address.
 *
 * ioredis ends a client for good when its connection is reset while a Sentinel is being asked. Its failover detector resets
 * connections whenever a Sentinel tells of a switch, and many clients ask a Sentinel at that very moment. A client that ends
 * after its socket closed was ended on purpose: by `disconnect()`, or by a `retryStrategy` of the user's.
 */
export class LookupRetry {
  readonly #client: Redis;
  #looking = false;
  #attempts = 0;
  #timer: NodeJS.Timeout | undefined;

  readonly #onConnecting = (): void => {
    this.#looking = true;
  };
  readonly #onSocket = (): void => {
    this.#looking = false;
    this.#attempts = 0;
  };
  readonly #onEnd = (): void => {
    if (!this.#looking) return;
    this.#looking = false;
    // As the one with which ioredis reconnects, this timer keeps the process alive.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // The error event carries why it could not.
      this.#client.connect().catch(() => {});
    }, reconnectDelayMs(this.#attempts++));
  };

  constructor(client: Redis) {
    this.#client = client;
    client.on('connecting', this.#onConnecting).on('end', this.#onEnd);
    for (const event of ['connect', 'close']) client.on(event, this.#onSocket);
  }

  /** The client has ended, and will be connected again. */
  get isDue(): boolean {
    return this.#timer !== undefined;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#client.off('connecting', this.#onConnecting).off('end', this.#onEnd);
    for (const event of ['connect', 'close']) this.#client.off(event, this.#onSocket);
  }
}
