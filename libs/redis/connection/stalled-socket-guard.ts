import type { Redis } from 'ioredis';
import type { CancelTimer, Clock } from '../time/clock.js';

/** How often a socket is looked at in the time that it may be silent. */
const LOOKS = 4;

export interface StalledSocketGuardOptions {
  /** For how long nothing may come while something is due, in milliseconds. */
  silenceMs: () => number;
  /** Whether something is due: an answer, or the handshake. */
  isDue: () => boolean;
  /** When it was due, in the words of an error: `while answers were due`. */
  what: string;
  /** Called when the socket is given up. */
  givenUp?: () => void;
}

/**
 * Gives up a socket on which nothing came for `silenceMs` while something was due. A host that vanished, or a firewall that
 * forgot the connection, sends no notice. Without this guard all commands would go on failing.
 *
 * It looks a few times at how many bytes have come, so commands and replies pay nothing for it (ioredis' own `socketTimeout`
 * sets a timer for every command, and costs as much as the rest of sending it, see ADR 16). Looks
 * are counted, not time: a process that was paused looks once when it goes on, and its replies have a chance to be read.
 */
export class StalledSocketGuard {
  readonly #client: Redis;
  readonly #clock: Clock;
  readonly #options: StalledSocketGuardOptions;
  #cancel: CancelTimer | undefined;
  #stream: Redis['stream'] | undefined;
  #silenceMs = 0;
  #bytesRead = 0;
  #silentLooks = 0;
  /** How many bytes had come when a command gave up waiting: while it is so many, its answer is still due. */
  #missedAt: number | undefined;

  constructor(client: Redis, clock: Clock, options: StalledSocketGuardOptions) {
    this.#client = client;
    this.#clock = clock;
    this.#options = options;
  }

  /** To be called when something was sent. */
  watch(): void {
    if (this.#cancel !== undefined) return;
    this.#silenceMs = this.#options.silenceMs();
    this.#note();
    this.#lookLater();
  }

  /** To be called when a command has failed by its deadline. */
  missed(): void {
    this.#missedAt = this.#client.stream.bytesRead;
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #look(): void {
    this.#cancel = undefined;
    const { stream } = this.#client;
    if (stream !== this.#stream || stream.bytesRead !== this.#bytesRead) {
      // The watch for the outstanding answer begins here.
      this.#note();
      if (this.#options.isDue() || this.#missedAt === this.#bytesRead) this.#lookLater();
      return;
    }
    if (++this.#silentLooks < LOOKS) {
      this.#lookLater();
      return;
    }
    stream.destroy(new Error(`the socket was silent for ${this.#silenceMs} ms ${this.#options.what}`));
    this.#options.givenUp?.();
  }

  #note(): void {
    this.#stream = this.#client.stream;
    this.#bytesRead = this.#stream.bytesRead;
    this.#silentLooks = 0;
  }

  #lookLater(): void {
    this.#cancel = this.#clock.timer(this.#silenceMs / LOOKS, () => {
      this.#look();
    });
  }
}
