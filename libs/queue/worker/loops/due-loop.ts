import { Loop, type Clock } from '../../../redis/index.js';

/** What one step has found. */
export interface DueStep {
  /** Whether this process did something, so that no other process has done it. */
  readonly worked: boolean;
  /** Milliseconds until the next one is due, 0 if it is due already; undefined: there is none. */
  readonly nextMs: number | undefined;
}

export interface DueLoopOptions {
  /** The loop's duty, for error reports. */
  name: string;
  clock: Clock;
  /** Does what is due. Undefined: there is nothing to wait for, until a message or a renewal says so. */
  step: () => Promise<DueStep | undefined>;
  onError: (error: unknown) => void;
}

/** How much later than something is due the loop asks at most, if others are faster. */
const SLACK_MS = 1_000;
/** A timer runs for 24.8 days at most, and something may be due later. */
const TIMER_MS = 86_400_000;
/** A timer may fire this much early. A process that finds nothing for that reason was not too late. */
const EARLY_MS = 2;

/**
 * Asks Redis when something is due. Every worker process does this, without a leader: a script does each thing once.
 *
 * The loop sleeps until the next due time, by the server's clock. A message tells it about something that is due earlier, and so
 * does each renewal of the lease: if a message was lost, it is late by the time between two renewals at most. A process that came
 * too late waits longer the next time, up to a second. A process that got a message, or found work, comes on time. So soon only
 * one process of a hundred asks Redis at each due time. If this process dies, another one takes its place within a second.
 */
export class DueLoop {
  readonly #options: DueLoopOptions;
  readonly #loop: Loop;
  #dueMs = 0;
  #slackMs = 0;

  constructor(options: DueLoopOptions) {
    const { name, clock, onError } = options;
    this.#options = options;
    this.#loop = new Loop({ name, clock, turn: () => this.#turn(), onError });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Something is due in `delayMs`. */
  expect(delayMs: number): void {
    const dueMs = this.#options.clock.monoMs() + delayMs;
    if (dueMs >= this.#dueMs) return;
    this.#slackMs = 0;
    this.#dueMs = dueMs;
    this.#loop.wake();
  }

  /** A renewal of the lease said that the first one is due in `delayMs`. All processes are told so, and one of them is enough. */
  told(delayMs: number): void {
    const dueMs = this.#options.clock.monoMs() + delayMs + this.#slackMs;
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    this.#loop.wake();
  }

  /** Asks Redis now, because a message may have been missed. */
  look(): void {
    this.expect(0);
  }

  async #turn(): Promise<number | undefined> {
    const { clock } = this.#options;
    const restMs = this.#dueMs - clock.monoMs();
    if (restMs > 0) return rest(restMs);
    // While the step is under way, a message about an earlier due time may come. The step's answer must not replace it.
    this.#dueMs = Infinity;
    let nextMs = 0;
    try {
      nextMs = await this.#step();
    } finally {
      // After a failure it is still due: the next try comes as soon as the loop allows.
      this.#dueMs = Math.min(this.#dueMs, clock.monoMs() + nextMs);
    }
    return rest(this.#dueMs - clock.monoMs());
  }

  /** Resolves to the milliseconds until the next step. */
  async #step(): Promise<number> {
    const done = await this.#options.step();
    if (done === undefined) return Infinity;
    const { worked, nextMs } = done;
    if (worked) this.#slackMs = 0;
    else if (nextMs === undefined || nextMs > EARLY_MS) this.#slackMs = Math.min(SLACK_MS, this.#slackMs * 2 + 10);
    return (nextMs ?? Infinity) + this.#slackMs;
  }
}

/** For the loop: nothing until it is woken, if nothing is due. */
function rest(ms: number): number | undefined {
  return ms === Infinity ? undefined : Math.min(TIMER_MS, Math.max(0, Math.ceil(ms)));
}
