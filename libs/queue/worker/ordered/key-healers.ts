import { Loop, isUnavailable, type Clock, type Keyspace, type Link } from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import { healKeys } from '../../ordering/heal-keys.js';
import type { Worker } from '../worker.js';

export interface KeyHealersOptions {
  readonly workers: readonly Worker[];
  readonly link: Link;
  readonly keyspace: Keyspace;
  readonly consumer: string;
  /** The prefix of the names of inboxes. */
  readonly inboxes: string;
  readonly clock: Clock;
  readonly log: { warn(message: string): void };
}

/** So many leases after a look at the keys of a queue, a process looks again. */
const LEASES = 3;

/**
 * Looks from time to time for keys of ordered queues that wait for a task that is not there any more, in one process of the fleet. Usually
 * there are none: each settlement opens the next task of its key. Queues without an order are not looked at.
 */
export class KeyHealers {
  readonly #options: KeyHealersOptions;
  readonly #loops: readonly Loop[];

  constructor(options: KeyHealersOptions) {
    this.#options = options;
    const { workers, clock, log } = options;
    const ordered = workers.filter(({ limits, retries }) => retries !== undefined && limits?.order);
    this.#loops = ordered.map(
      (worker) =>
        new Loop({
          name: 'queue keys',
          clock,
          turn: (signal) => this.#look(worker, signal),
          onError: (error) => {
            // The connection reports outages, and the next renewal reports data of a newer release.
            if (isUnavailable(error) || isSluiceError(error, 'SLUICE_NEWER_DATA')) return;
            log.warn(`the ordering keys of queue '${worker.handler.queue}' were not looked at: ${String(error)}`);
          },
        }),
    );
  }

  start(): void {
    for (const loop of this.#loops) loop.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  async #look(worker: Worker, signal: AbortSignal): Promise<number> {
    const { link, keyspace, consumer, inboxes, log } = this.#options;
    const { queue, options } = worker.handler;
    const everyMs = LEASES * worker.lease.leaseMs;
    if (worker.state !== 'open' || worker.lease.halted) return everyMs;
    const { places = 1, keyPath = '' } = worker.limits?.order ?? {};
    const keys = { places, keyPath, group: options.group };
    const opened = await healKeys({ link, keyspace, consumer, inboxes, queue, everyMs, key: '', ...keys }, signal);
    if (opened > 0) {
      log.warn(
        `${opened} ordering keys of queue '${queue}' waited for tasks that are not there any more, and go on with the next ones`,
      );
    }
    return everyMs;
  }
}
