import { Loop, isUnavailable, type Clock, type Keyspace, type Link } from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import { healKeys } from '../../ordering/heal-keys.js';
import type { KeyRate, OrderKeys } from '../admission/fleet-limits.js';
import { healRates } from './heal-rates.js';
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
 * Looks from time to time for keys of ordered queues that wait for a task that is not there any more, and for tasks that wait for the rate of
 * their key and would wait for ever, in one process of the fleet. Usually there are none: each settlement opens the next task of its key,
 * and each key with waiting tasks is due at some time. Queues without such limits are not looked at.
 */
export class KeyHealers {
  readonly #options: KeyHealersOptions;
  readonly #loops: readonly Loop[];

  constructor(options: KeyHealersOptions) {
    this.#options = options;
    const { workers, clock, log } = options;
    const looked = workers.filter(({ limits, retries }) => limits?.keyRate || (retries !== undefined && limits?.order));
    this.#loops = looked.map(
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
    const everyMs = LEASES * worker.lease.leaseMs;
    if (worker.state !== 'open' || worker.lease.halted) return everyMs;
    const { order, keyRate } = worker.limits ?? {};
    if (order && worker.retries !== undefined) await this.#lookAtKeys(worker, order, everyMs, signal);
    if (keyRate) await this.#lookAtRates(worker, keyRate, everyMs, signal);
    return everyMs;
  }

  async #lookAtKeys(worker: Worker, order: OrderKeys, everyMs: number, signal: AbortSignal): Promise<void> {
    const { link, keyspace, consumer, inboxes, log } = this.#options;
    const { queue, options } = worker.handler;
    const keys = { places: order.places, keyPath: order.keyPath, group: options.group };
    const opened = await healKeys({ link, keyspace, consumer, inboxes, queue, everyMs, key: '', ...keys }, signal);
    if (opened === 0) return;
    log.warn(
      `${opened} ordering keys of queue '${queue}' waited for tasks that are not there any more, and go on with the next ones`,
    );
  }

  async #lookAtRates(worker: Worker, rate: KeyRate, everyMs: number, signal: AbortSignal): Promise<void> {
    const { link, inboxes, log } = this.#options;
    const healed = await healRates({ worker, rate, link, inboxes, everyMs }, signal);
    if (healed === 0) return;
    const { queue } = worker.handler;
    log.warn(`${healed} tasks or keys of queue '${queue}' waited for a rate, and nobody would have come for them`);
  }
}
