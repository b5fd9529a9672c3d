import { backoffMs } from './backoff.js';
import { systemClock, type CancelTimer, type Clock } from './clock.js';

export interface LoopOptions {
  /** The loop's duty, for error reports. */
  name: string;
  /** One turn. Answers how many milliseconds to rest before the next; `undefined` rests until `wake()`. */
  turn: (signal: AbortSignal) => Promise<number | undefined>;
  /** A turn that failed. The loop goes on after a jittered back-off, 50 ms to 2 s. */
  onError: (error: unknown, name: string) => void;
  clock?: Clock;
}

/**
 * The one primitive under every background loop. Turns run one at a time and never overlap. The loop goes on after errors, and
 * can be stopped.
 *
 * `start` and `stop` are idempotent; `stop` before `start` is fine; a stopped loop never starts again. `wake` cuts
 * a rest short, and during a turn makes the next turn follow at once: no wake is lost.
 */
export class Loop {
  readonly #options: LoopOptions;
  readonly #clock: Clock;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #woken = false;
  #endRest: (() => void) | undefined;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  start(): void {
    if (this.#running === undefined && !this.#abort.signal.aborted) this.#running = this.#run();
  }

  wake(): void {
    this.#woken = true;
    this.#endRest?.();
  }

  /** Aborts the turn's signal and resolves when the current turn has ended. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#endRest?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    let failures = 0;
    while (!signal.aborted) {
      this.#woken = false;
      let restMs: number | undefined;
      try {
        restMs = await this.#options.turn(signal);
        failures = 0;
      } catch (error) {
        restMs = backoffMs(failures++, 50, 2_000);
        // A turn that `stop` interrupts may end with an error. That error is expected, and is not reported.
        if (!this.#abort.signal.aborted) this.#options.onError(error, this.#options.name);
      }
      await this.#rest(restMs, signal);
    }
  }

  #rest(ms: number | undefined, signal: AbortSignal): Promise<void> {
    if (this.#woken || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      let cancel: CancelTimer | undefined;
      this.#endRest = () => {
        this.#endRest = undefined;
        cancel?.();
        resolve();
      };
      if (ms !== undefined) cancel = this.#clock.timer(ms, this.#endRest);
    });
  }
}
