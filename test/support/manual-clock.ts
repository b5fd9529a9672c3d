import type { CancelTimer, Clock } from 'nestjs-sluice/redis';

/** A clock that stands still until it is moved. Timers fire in order, each at its own time. */
export class ManualClock implements Clock {
  #monoMs = 0;
  #wallMs = 1_800_000_000_000;
  #timers: { atMs: number; fire: () => void }[] = [];

  monoMs(): number {
    return this.#monoMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  timer(ms: number, fire: () => void): CancelTimer {
    const timer = { atMs: this.#monoMs + ms, fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.length;
  }

  /** Lets time pass. Promise jobs run after each timer, as in the event loop. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#monoMs + ms;
    for (;;) {
      await settled();
      const next = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.jump(Math.max(0, next.atMs - this.#monoMs));
      this.#timers = this.#timers.filter((each) => each !== next);
      next.fire();
    }
    this.jump(untilMs - this.#monoMs);
  }

  /** Time has passed unnoticed: the event loop was blocked. No timer fires. */
  jump(ms: number): void {
    this.#monoMs += ms;
    this.#wallMs += ms;
  }

  /** The wall clock alone moves: it was set, or the machine slept (the monotonic clock does not count sleep). */
  step(ms: number): void {
    this.#wallMs += ms;
  }
}

/** All promise jobs that are ready have run. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
