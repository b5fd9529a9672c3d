import type { CancelTimer, Clock } from '../../../redis/index.js';
import type { ResolvedBatch } from '../../task/batch.options.js';
import type { Delivery } from '../../task/delivery.js';
import type { ConcurrencyWindow } from '../concurrency-window.js';
import type { Isolation } from '../isolation.js';

export interface BatchFormerOptions {
  batch: ResolvedBatch;
  window: Pick<ConcurrencyWindow, 'wantsMore' | 'free'>;
  isolation: Pick<Isolation, 'concerns'>;
  clock: Clock;
  /** Whether tasks may start at all. */
  mayStart: () => boolean;
  /** Runs a batch. */
  run: (deliveries: readonly Delivery[]) => void;
  /** Settles an entry that is no readable task. */
  deadLetter: (delivery: Delivery) => void;
  /** The time of a waiting batch is over: there may be one to start. */
  onTime: () => void;
}

/**
 * Forms batches of one stream's prefetched tasks. It keeps no tasks: what waits for a fuller batch stays among the prefetched ones. So a
 * pause, a stop, a cancellation and a lost lease treat it like every other task that has not begun.
 *
 * A batch starts when a place is free and one of these holds:
 *
 * - it is full, or the first of its tasks has been here for `waitMs`;
 * - the process reads no more tasks now, so that it cannot become fuller. Otherwise named tasks that share a limit could wait for each
 *   other, each with a part of the room.
 *
 * An isolated task runs in a batch of its own, and at once: if it kills its process, no other task is blamed.
 */
export class BatchFormer {
  readonly #options: BatchFormerOptions;
  #cancelTimer: CancelTimer | undefined;

  constructor(options: BatchFormerOptions) {
    this.#options = options;
  }

  /** Whether there is a place for a batch. Then tasks that are here wait for a fuller one. */
  get mayForm(): boolean {
    return this.#options.window.free;
  }

  /** Starts the batches that may start, and takes their tasks out of the list. */
  pump(prefetched: Delivery[]): void {
    const { window, mayStart } = this.#options;
    while (prefetched.length > 0 && window.free && mayStart()) if (!this.#start(prefetched)) return;
  }

  /** No batch starts any more because its time is over. */
  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  /** Takes the next batch out of the tasks, and starts it. Returns false if it waits. A place is free. */
  #start(prefetched: Delivery[]): boolean {
    const { batch, isolation, run, deadLetter } = this.#options;
    const at = prefetched.findIndex((delivery) => delivery.task === undefined || isolation.concerns(delivery));
    const alone = at < 0 ? undefined : prefetched.splice(at, 1)[0];
    if (alone !== undefined) {
      if (alone.task === undefined) deadLetter(alone);
      else run([alone]);
      return true;
    }
    if (this.#waitsForMore(prefetched)) return false;
    this.stop();
    run(prefetched.splice(0, batch.max));
    return true;
  }

  #waitsForMore(prefetched: readonly Delivery[]): boolean {
    const { batch, window, clock, onTime } = this.#options;
    const { max, waitMs } = batch;
    if (waitMs === 0 || prefetched.length >= max || !window.wantsMore) return false;
    const firstMs = prefetched.reduce((least, { takenMs }) => Math.min(least, takenMs), Infinity);
    const leftMs = firstMs + waitMs - clock.monoMs();
    if (leftMs <= 0) return false;
    this.stop();
    this.#cancelTimer = clock.timer(leftMs, onTime);
    return true;
  }
}
