import type { Redis } from 'ioredis';
import type { CancelTimer, Clock } from '../time/clock.js';

/**
 * For how long after the last command the sockets of an app that has not booted keep the process alive. A caller that waits for a
 * lock or for another process' load sends something at least every 3 s.
 */
export const BOOT_IDLE_MS = 5_000;

/**
 * Lets the process end when the boot of its app has failed in some other module: nobody closes such an app. Until the app has
 * booted, its sockets keep the process alive only while it makes use of them. Afterwards they always do.
 */
export class BootHold {
  readonly #clock: Clock;
  readonly #clients = new Set<Redis>();
  #state: 'used' | 'idle' | 'booted' = 'idle';
  #lastUseMs = -Infinity;
  #cancel: CancelTimer = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Sockets of this client belong to the app. */
  add(client: Redis): void {
    if (this.#state === 'booted') return;
    this.#clients.add(client);
    // A new socket keeps the process alive until it is told otherwise.
    client.on('connect', () => {
      if (this.#state === 'idle') this.used();
    });
  }

  /** True once the app has booted: `used` need not be called any more. */
  get isOver(): boolean {
    return this.#state === 'booted';
  }

  /** To be called for each command that is sent. */
  used(): void {
    if (this.#state === 'booted') return;
    this.#lastUseMs = this.#clock.monoMs();
    if (this.#state === 'used') return;
    this.#state = 'used';
    for (const client of this.#clients) socketOf(client)?.ref();
    this.#wait(BOOT_IDLE_MS);
  }

  booted(): void {
    this.end();
    for (const client of this.#clients) socketOf(client)?.ref();
    this.#clients.clear();
  }

  /** To be called when the connections close. */
  end(): void {
    this.#state = 'booted';
    this.#cancel();
  }

  #wait(ms: number): void {
    this.#cancel = this.#clock.timer(ms, () => {
      const leftMs = this.#lastUseMs + BOOT_IDLE_MS - this.#clock.monoMs();
      if (leftMs > 0) {
        this.#wait(leftMs);
        return;
      }
      this.#state = 'idle';
      for (const client of this.#clients) socketOf(client)?.unref();
    });
  }
}

/** Undefined before the first attempt to connect. */
function socketOf(client: Redis): Redis['stream'] | undefined {
  return client.stream;
}
