import type { Link } from '../../../redis/index.js';
import type { DeadRetention } from '../../admin/dead-retention.js';
import { janitorScript } from '../../store/scripts/janitor.script.js';
import { trimDeadScript } from '../../store/scripts/trim-dead.script.js';
import type { UnreadGroups } from './unread-groups.js';
import type { Worker } from '../worker.js';

export interface JanitorOptions {
  link: Link;
  /** Called for queues with several groups. */
  unreadGroups: UnreadGroups;
  /** Which dead letters to keep. */
  retention: DeadRetention;
  log: { warn(message: string): void };
}

/** Entries per walk. A walk reads their payloads, which may be large. */
const SLICE = 100;
/** Calls per cleaning, each of up to 10,000 entries. */
const CALLS = 20;

/**
 * Deletes entries that all groups have settled, and detects whether a queue has several groups.
 *
 * @see docs/internals/queue.md#several-groups
 */
export class Janitor {
  readonly #options: JanitorOptions;
  readonly #cursors = new Map<Worker, string>();

  constructor(options: JanitorOptions) {
    this.#options = options;
  }

  /** Resolves to whether the next cleaning should come soon: something was deleted. */
  async clean(worker: Worker): Promise<boolean> {
    const { link, retention, unreadGroups } = this.#options;
    const { keys, retries } = worker;
    const own = (retries ?? worker).keys;
    let soon = false;
    let groups = 1;
    for (let calls = 0, more = true; more && calls < CALLS; calls++) {
      const cleaned = await janitorScript.run(link, {
        keys: { ...keys, retry: own.stream, retryDelayed: own.delayed },
        args: { cursor: this.#cursors.get(worker) ?? '', slice: SLICE },
      });
      this.#cursors.set(worker, cleaned.cursor);
      if (retries && (cleaned.groups > 1 || cleaned.retries)) retries.markNeeded();
      groups = cleaned.groups;
      soon ||= cleaned.freed > 0;
      more = cleaned.more;
    }
    if (retries && groups > 1) await unreadGroups.look(worker);
    if (retries) await this.#trim(worker, retention);
    return soon;
  }

  /** Deletes dead letters beyond the number or the age to keep. Their ids begin with the time when they became dead letters. */
  async #trim({ keys, handler }: Worker, { keep, keepMs }: DeadRetention): Promise<void> {
    const { link, log } = this.#options;
    if (keep === undefined && keepMs === undefined) return;
    const trimmed = await trimDeadScript.run(link, { keys, args: { keep: keep ?? -1, keepMs: keepMs ?? -1 } });
    if (trimmed > 0)
      log.warn(`${trimmed} dead letters of queue '${handler.queue}' were deleted: queue.dead says how many to keep`);
  }
}
