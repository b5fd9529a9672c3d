import type { Clock, Keyspace, Link } from '../../redis/index.js';
import { placeOf, type Priority } from '../store/levels.js';
import { queueKeys, type QueueKeys } from '../store/queue.keys.js';
import { publishLevelScript } from '../store/scripts/publish-level.script.js';
import { dueInMs, isDelayed, type Item, type SentOptions } from './publish.options.js';

export interface LevelledPublisherOptions {
  link: Link;
  keyspace: Keyspace;
  clock: Clock;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  newId: () => string;
  meta: (options: SentOptions, own: { id: string }) => string;
  /** Tasks were published that are due in `delayMs`. */
  onDelayed: (queue: string, keys: QueueKeys, delayMs: number) => void;
}

/** Publishes tasks of the levels `high` and `low`. Those of `normal` are published as in a queue without levels. */
export class LevelledPublisher {
  readonly #options: LevelledPublisherOptions;

  constructor(options: LevelledPublisherOptions) {
    this.#options = options;
  }

  /** Publishes tasks of one level, all or none, with one script. Resolves with their ids. */
  async publish(queue: string, level: Priority, items: readonly Item[]): Promise<readonly string[]> {
    const { link, keyspace, clock, inboxes, newId, meta, onDelayed } = this.#options;
    const keys = queueKeys(keyspace, placeOf(queue, level));
    const { stream, delayed, bodies, index, alive } = keys;
    const ids = items.map(() => newId());
    await publishLevelScript.run(link, {
      keys: { main: queueKeys(keyspace, queue).stream, stream, delayed, bodies, index, alive },
      args: { inboxes, timestamp: String(Math.floor(clock.wallMs() / 1_000)) },
      rest: items.flatMap(({ payload, options }, i) => {
        const { delayMs = 0, runAt } = options;
        const id = ids[i] ?? '';
        return [id, payload, meta(options, { id }), isDelayed(options) ? delayMs : -1, runAt?.getTime() ?? -1];
      }),
    });
    const dueMs = Math.min(...items.map(({ options }) => dueInMs(options, clock)));
    if (dueMs < Infinity) onDelayed(queue, keys, dueMs);
    return ids;
  }
}
