import type { Link } from '../../../redis/index.js';
import { janitorScript } from '../../store/scripts/janitor.script.js';
import type { Worker } from '../worker.js';

/** Entries per walk. Their payloads are read, which may be large. */
const SLICE = 100;
/** Calls per cleaning, each of up to 10,000 entries. */
const CALLS = 20;

/**
 * Deletes entries that all groups have settled, and notices whether a queue has several groups.
 *
 * @see docs/internals/queue.md#several-groups
 */
export class Janitor {
  readonly #link: Link;
  readonly #cursors = new Map<Worker, string>();

  constructor(link: Link) {
    this.#link = link;
  }

  /** Resolves to whether to come back soon: there are other groups, or something was deleted. */
  async clean(worker: Worker): Promise<boolean> {
    const { keys, retries } = worker;
    const own = (retries ?? worker).keys;
    let soon = false;
    for (let calls = 0, more = true; more && calls < CALLS; calls++) {
      const cleaned = await janitorScript.run(this.#link, {
        keys: { stream: keys.stream, retry: own.stream, retryDelayed: own.delayed },
        args: { cursor: this.#cursors.get(worker) ?? '', slice: SLICE },
      });
      this.#cursors.set(worker, cleaned.cursor);
      if (retries && (cleaned.groups > 1 || cleaned.retries)) retries.markNeeded();
      soon ||= cleaned.groups > 1 || cleaned.freed > 0;
      more = cleaned.more;
    }
    return soon;
  }
}
