import { setImmediate as turn } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { systemClock, type CancelTimer, type Clock } from '../../redis/index.js';
import { badOption } from '../../weave/index.js';

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
  readonly cancelReal: CancelTimer;
}

/**
 * The clock of `SluiceTestingModule`, which locks, cache and queue use. It goes on by itself as the system's clock does, and
 * `advance` moves it forward at once.
 *
 * `advance` moves only the time of Sluice: `Date`, `setTimeout` and `@Cron` go on as before.
 *
 * @example
 * const cached = await shop.product(1);
 * await app.get(TestingClock).advance(60_000); // ttlMs has passed
 * await shop.product(1); // loads again
 */
@Injectable()
export class TestingClock implements Clock {
  #aheadMs = 0;
  readonly #timers = new Set<Timer>();

  wallMs(): number {
    return systemClock.wallMs() + this.#aheadMs;
  }

  monoMs(): number {
    return systemClock.monoMs() + this.#aheadMs;
  }

  timer(ms: number, fire: () => void): CancelTimer {
    const run = (): void => {
      this.#timers.delete(timer);
      fire();
    };
    const timer: Timer = { atMs: this.monoMs() + ms, fire: run, cancelReal: systemClock.timer(ms, run) };
    this.#timers.add(timer);
    return () => {
      timer.cancelReal();
      this.#timers.delete(timer);
    };
  }

  /**
   * Lets `ms` milliseconds pass. Everything that would happen in this time happens in its order, and at its own time: leases
   * are renewed or end, waits end, values expire, delayed tasks become due. Resolves when all of this is done. Tasks are not
   * run: call `TestingQueue.drain()`.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION` if `ms` is no number of milliseconds
   */
  async advance(ms: number): Promise<void> {
    if (!Number.isFinite(ms) || ms < 0)
      throw badOption('TestingClock.advance', 'a number of milliseconds, 0 or more', ms);
    await turn(); // calls that are on their way set their timers
    const untilMs = this.monoMs() + ms;
    const aheadMs = this.#aheadMs + ms;
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      next.cancelReal();
      this.#aheadMs += Math.max(0, next.atMs - this.monoMs());
      next.fire();
      await turn(); // the promises that the timer has settled
    }
    this.#aheadMs = Math.max(this.#aheadMs, aheadMs);
    await turn();
  }

  /** The first timer that is due until `untilMs`. */
  #next(untilMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs <= untilMs && (first === undefined || timer.atMs < first.atMs)) first = timer;
    }
    return first;
  }
}
