import type { Keyspace, Link } from '../../redis/index.js';
import { queueKeys } from '../store/queue.keys.js';
import { groupsScript } from '../store/scripts/groups.script.js';
import { debug } from '../observe/queue.debug.js';
import { healKeys } from './heal-keys.js';

export interface FreedKeysOptions {
  readonly link: Link;
  readonly keyspace: Keyspace;
  /** The prefix of the names of inboxes. */
  readonly inboxes: string;
}

/** Lets keys go on whose tasks an operator has removed. */
export class FreedKeys {
  readonly #options: FreedKeysOptions;

  constructor(options: FreedKeysOptions) {
    this.#options = options;
  }

  /**
   * Opens the keys that the removed tasks of a queue held, in all its groups. If that fails, the workers do it within three leases.
   *
   * @param key of the only task; '': there were several
   */
  async passOn(queue: string, key: string): Promise<void> {
    const { link, keyspace } = this.#options;
    const { stream, alive } = queueKeys(keyspace, queue);
    const unknown = { consumer: '', places: 0, keyPath: '' };
    try {
      for (const { name: group } of await groupsScript.run(link, { keys: { stream, alive }, args: {} })) {
        await healKeys({ ...this.#options, ...unknown, queue, group, everyMs: 0, key });
      }
    } catch (error) {
      debug?.('%s: keys of removed tasks go on later: %s', stream, error);
    }
  }
}
