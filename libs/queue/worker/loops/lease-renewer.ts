import { Loop, isUnavailable, type Clock } from '../../../redis/index.js';
import { debug } from '../../observe/queue.debug.js';
import type { Worker } from '../worker.js';

export interface LeaseRenewerOptions {
  workers: readonly Worker[];
  leaseMs: number;
  clock: Clock;
  /** A worker's lease had lapsed, so the worker is doubtful now. */
  onLapse: (worker: Worker) => void;
  /** The worker's queue was paused or resumed. */
  onPause: (worker: Worker, paused: boolean) => void;
  report: (message: string) => void;
}

/**
 * Renews the lease of this process on every queue that it works on, three times per lease.
 *
 * The renewer keeps this rhythm during an outage, without a backoff, and also while a queue has to be opened again. When Redis
 * is back, each process has the time of one lease to renew its own.
 */
export class LeaseRenewer {
  readonly #options: LeaseRenewerOptions;
  readonly #loop: Loop;

  constructor(options: LeaseRenewerOptions) {
    this.#options = options;
    this.#loop = new Loop({
      name: 'queue leases',
      clock: options.clock,
      turn: () => this.#turn(),
      onError: (error) => {
        options.report(String(error));
      },
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** Renews now: a message said that a queue was paused or resumed, and the reply tells whether the queue is paused. */
  look(): void {
    this.#loop.wake();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #turn(): Promise<number> {
    const { workers, leaseMs, clock } = this.#options;
    const startedMs = clock.monoMs();
    await Promise.all(workers.filter(({ lease }) => lease.taken).map((worker) => this.#renew(worker)));
    return Math.max(1, leaseMs / 3 - (clock.monoMs() - startedMs));
  }

  async #renew(worker: Worker): Promise<void> {
    const { onLapse, onPause, report } = this.#options;
    const { paused } = worker.lease;
    try {
      const unbroken = await worker.lease.renew();
      if (worker.lease.paused !== paused) onPause(worker, !paused);
      if (unbroken) {
        worker.pump();
        return;
      }
      debug?.('%s: the lease had lapsed; nothing starts until Redis has told what is still ours', worker.keys.stream);
      worker.doubt();
      onLapse(worker);
    } catch (error) {
      if (!isUnavailable(error)) {
        report(`the lease on queue '${worker.handler.queue}' was not renewed: ${String(error)}`);
      }
    }
  }
}
