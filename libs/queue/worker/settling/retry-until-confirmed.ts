import { backoffMs, isUnavailable, type CancelTimer, type Clock } from '../../../redis/index.js';

/**
 * Repeats a step until Redis has confirmed it, or until the process stops. For idempotent steps only: a step whose reply
 * was lost runs again.
 */
export class RetryUntilConfirmed {
  readonly #clock: Clock;
  readonly #report: (message: string) => void;
  readonly #rests = new Set<() => void>();
  #closed = false;

  constructor(clock: Clock, report: (message: string) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  /** Resolves to false if the process stopped first. */
  async run(what: string, step: () => Promise<unknown>): Promise<boolean> {
    for (let failures = 0; !this.#closed; failures++) {
      try {
        await step();
        return true;
      } catch (error) {
        // The connection reports outages. What Redis refuses is reported here, once per step.
        if (failures === 0 && !isUnavailable(error)) {
          this.#report(`${what} failed and is repeated: ${String(error)}`);
        }
        await this.#rest(backoffMs(failures, 50, 2_000));
      }
    }
    return false;
  }

  /** Gives up all steps, and leaves no timer. */
  close(): void {
    this.#closed = true;
    for (const end of this.#rests) end();
  }

  #rest(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      let cancel: CancelTimer | undefined = undefined;
      const end = (): void => {
        cancel?.();
        this.#rests.delete(end);
        resolve();
      };
      this.#rests.add(end);
      cancel = this.#clock.timer(ms, end);
    });
  }
}
