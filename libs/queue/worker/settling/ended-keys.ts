import type { Link } from '../../../redis/index.js';
import { debug } from '../../observe/queue.debug.js';
import { recordKey, type QueueKeys } from '../../store/queue.keys.js';
import { endKeyScript } from '../../store/scripts/end-key.script.js';
import type { Delivery } from '../../task/delivery.js';

export interface EndedKeysOptions {
  link: Link;
  /** Of the queue, also for tasks of the group's own retries. */
  keys: QueueKeys;
  /** The prefix of the names of inboxes. */
  inboxes: string;
}

/** After the settlement of tasks that were published under keys: lets those begin that follow them, and forgets keys that are free. */
export class EndedKeys {
  readonly #options: EndedKeysOptions;

  constructor(options: EndedKeysOptions) {
    this.#options = options;
  }

  /** Redis has confirmed that these tasks are settled: they are done, tried again, or dead letters. */
  settled(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) if (delivery.key !== undefined) void this.#settled(delivery, delivery.key);
  }

  async #settled({ taskId: id }: Delivery, digest: string): Promise<void> {
    const { link, keys, inboxes } = this.#options;
    try {
      await endKeyScript.run(link, {
        keys: { ...keys, record: recordKey(keys, digest) },
        args: { id, side: keys.side, inboxes },
      });
    } catch (error) {
      // The record only takes memory until it expires, because the task is gone. What follows the task is due within seconds.
      debug?.('%s: nobody was told that task %s, which had a key, has ended: %s', keys.stream, id, error);
    }
  }
}
