import { Loop, isUnavailable, type Clock, type Link } from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import { promoteScript } from '../../store/scripts/promote.script.js';
import type { Worker } from '../worker.js';

export interface DelayedPromoterOptions {
  /** The worker on the stream that due tasks go to. */
  worker: Worker;
  link: Link;
  clock: Clock;
  log: { warn(message: string): void; error(message: string): void };
}

/** Tasks in one script: about a millisecond of the server's time. All other clients wait for it. */
const BATCH = 200;
/** How much later than a task is due the promoter asks at most, if others are faster. */
const SLACK_MS = 1_000;
/** A timer runs for 24.8 days at most, and a task may be delayed longer. */
const TIMER_MS = 86_400_000;
/** A timer may fire this much early. A process that finds nothing for that reason was not too late. */
const EARLY_MS = 2;

/**
 * Moves the delayed tasks of one stream into it when they are due. Every worker process does this, without a leader: the
 * script moves each task once.
 *
 * The promoter sleeps until the next task is due, by the server's clock. A message tells it about a task that is due earlier, and
 * so does each renewal of the lease: if a message was lost, a task is late by the time between two renewals at most.
 * A process that came too late waits longer the next time, up to a second. A process that got a message, or found work, comes on
 * time. So soon only one process of a hundred asks Redis at each due time. If this process dies, another one takes its place
 * within a second.
 */
export class DelayedPromoter {
  readonly #options: DelayedPromoterOptions;
  readonly #loop: Loop;
  #dueMs = 0;
  #slackMs = 0;

  constructor(options: DelayedPromoterOptions) {
    this.#options = options;
    this.#loop = new Loop({
      name: 'queue delays',
      clock: options.clock,
      turn: () => this.#turn(),
      onError: (error) => {
        // The connection reports outages, and the next renewal reports data of a newer release.
        if (isUnavailable(error) || isSluiceError(error, 'SLUICE_NEWER_DATA')) return;
        options.log.warn(
          `the delayed tasks of queue '${options.worker.handler.queue}' cannot be promoted, and wait: ${String(error)}`,
        );
      },
    });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** A task is due in `delayMs`. */
  expect(delayMs: number): void {
    const dueMs = this.#options.clock.monoMs() + delayMs;
    if (dueMs >= this.#dueMs) return;
    this.#slackMs = 0;
    this.#dueMs = dueMs;
    this.#loop.wake();
  }

  /** A renewal of the lease said that the first task is due in `delayMs`. All processes are told so, and one of them is enough. */
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
    // While the script is under way, a message about a task that is due earlier may come. The script's reply must not replace it.
    this.#dueMs = Infinity;
    let nextMs = 0;
    try {
      nextMs = await this.#promote();
    } finally {
      // After a failure the tasks are still due: the next try comes as soon as the loop allows.
      this.#dueMs = Math.min(this.#dueMs, clock.monoMs() + nextMs);
    }
    return rest(this.#dueMs - clock.monoMs());
  }

  /** Moves the tasks that are due. Resolves to the milliseconds until the next call. */
  async #promote(): Promise<number> {
    const { link, worker, log } = this.#options;
    // The stream is that of the group's own retries, and there are none. Or a newer release keeps data in the queue. A renewal tells
    // when this changes.
    if (!worker.needed || worker.lease.unknown !== undefined) return Infinity;
    const { count, nextMs, broken } = await promoteScript.run(link, {
      keys: worker.keys,
      args: { limit: BATCH, unworked: 0 },
    });
    for (const handle of broken) {
      log.error(`delayed task ${handle} of queue '${worker.handler.queue}' is a dead letter: it has no readable body`);
    }
    if (count > 0) this.#slackMs = 0;
    else if (nextMs === undefined || nextMs > EARLY_MS) this.#slackMs = Math.min(SLACK_MS, this.#slackMs * 2 + 10);
    return (nextMs ?? Infinity) + this.#slackMs;
  }
}

/** For the loop: nothing until it is woken, if no task is due. */
function rest(ms: number): number | undefined {
  return ms === Infinity ? undefined : Math.min(TIMER_MS, Math.max(0, Math.ceil(ms)));
}
