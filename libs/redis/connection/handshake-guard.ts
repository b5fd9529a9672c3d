import type { Redis } from 'ioredis';
import type { Clock } from '../time/clock.js';
import { StalledSocketGuard } from './stalled-socket-guard.js';

/** For how long a server may be silent during the handshake, in milliseconds: at the first attempt, and at most. */
const SILENCE_MS = { first: 2_500, most: 10_000 };

/**
 * Gives up a socket whose server took the connection and does not greet. The kernel of a host accepts connections although the
 * server hangs, and ioredis would wait for ever. The next attempt resolves the address anew: by now it may lead to another server.
 *
 * A server that answers something, such as that it loads its data, is not silent. After each silent attempt in a row the next one
 * may take twice as long, so that a server that is only slow gets the time it needs.
 */
export class HandshakeGuard {
  readonly #guard: StalledSocketGuard;
  /** How many attempts in a row were given up. */
  #givenUp = 0;

  readonly #onConnect = (): void => {
    this.#guard.stop();
    this.#guard.watch();
  };
  readonly #onReady = (): void => {
    this.#givenUp = 0;
    this.#guard.stop();
  };
  readonly #client: Redis;

  constructor(client: Redis, clock: Clock) {
    this.#client = client;
    this.#guard = new StalledSocketGuard(client, clock, {
      silenceMs: () => Math.min(SILENCE_MS.first * 2 ** this.#givenUp, SILENCE_MS.most),
      isDue: () => client.status === 'connect',
      givenUp: () => this.#givenUp++,
      what: 'during the handshake',
    });
    client.on('connect', this.#onConnect).on('ready', this.#onReady);
    if (client.status === 'connect') this.#guard.watch();
  }

  stop(): void {
    this.#client.off('connect', this.#onConnect).off('ready', this.#onReady);
    this.#guard.stop();
  }
}
