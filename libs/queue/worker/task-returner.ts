import type { Link } from '../../redis/index.js';
import { debug } from '../observe/queue.debug.js';
import { RELEASED } from '../store/queue.keys.js';
import { returnTasksScript } from '../store/scripts/return-tasks.script.js';
import { returnUnstartedScript } from '../store/scripts/return-unstarted.script.js';
import type { Worker } from './worker.js';

export interface TaskReturnerOptions {
  link: Link;
  consumer: string;
  /** The prefix of the names of inboxes. */
  inboxes: string;
}

/** Returns tasks to the queue, so that other processes run them. No delivery is counted. */
export class TaskReturner {
  readonly #options: TaskReturnerOptions;

  constructor(options: TaskReturnerOptions) {
    this.#options = options;
  }

  /** Returns tasks that the worker no longer holds; without ids, all tasks that are pending with this process. */
  async return({ keys, handler }: Worker, ids: readonly string[] = [], surplus = false): Promise<string[]> {
    const { link, consumer, inboxes } = this.#options;
    const returned = await returnTasksScript.run(link, {
      keys: { stream: keys.stream, alive: keys.alive },
      args: { group: handler.options.group, consumer, released: RELEASED, inboxes, surplus: surplus ? 1 : 0 },
      rest: ids,
    });
    debug?.('%s: returned %j%s', keys.stream, returned, surplus ? ', other processes are idle' : '');
    return returned;
  }

  /** Returns tasks that the worker no longer holds, and that did not start here: if there is a rate, their starts are given back. */
  async returnUnstarted(worker: Worker, ids: readonly string[]): Promise<string[]> {
    const { keys, handler, limits } = worker;
    if (!limits?.grace) return this.return(worker, ids);
    const { link, consumer, inboxes } = this.#options;
    const { limit, perMs, graceMs } = limits.args();
    const { rate, grace } = limits.keys;
    const ofKeys = limits.keyRate?.keysOf(keys.stream);
    const returned = await returnUnstartedScript.run(link, {
      keys: { stream: keys.stream, alive: keys.alive, grace, rate: ofKeys?.rates ?? rate },
      args: {
        ...{ group: handler.options.group, consumer, released: RELEASED, inboxes },
        ...{ limit, perMs, graceMs, ratePath: limits.keyRate?.path ?? '' },
      },
      ...(ofKeys && { restKeys: [ofKeys.rateEnds, ofKeys.rateDue] }),
      rest: ids,
    });
    debug?.('%s: returned %j, and their starts', keys.stream, returned);
    return returned;
  }

  /** Returns tasks that have waited here for too long, because others became slow. Idle processes may take them. */
  async returnSurplus(worker: Worker): Promise<void> {
    const surplus = worker.takeSurplus();
    if (surplus.length === 0) return;
    let returned: string[] | undefined;
    try {
      const ids = surplus.map(({ id }) => id);
      returned = await this.return(worker, ids, true);
    } finally {
      worker.surplusReturned(surplus, returned);
    }
  }
}
