import type { Link } from '../../../redis/index.js';
import type { Worker } from '../worker.js';

/** What one read may bring if each of its tasks is as large as `publish` allows. */
const SURPRISE_BYTES = 64 * 2 ** 20;

/**
 * How many tasks to ask for: COUNT holds for each stream of an XREADGROUP, and Redis counts tasks and not bytes.
 *
 * - A worker with little credit must not slow the others. While its stream is quiet it takes part in the common read, whose
 *   COUNT is that of the others: should it bring more than there is credit for, the surplus is returned. While its stream has
 *   tasks, it is read by a call of its own.
 * - A reply must fit into memory. A worker knows the size of the tasks that it has seen, not of those that come. So more than
 *   {@link SURPRISE_BYTES} allow are asked for only while no publisher has marked the queue as one with large payloads.
 */
export class ReadCounts {
  readonly #safe: number;
  /** Streams whose last read brought all that it asked for: there is more. At first, all. */
  readonly #quiet = new Set<Worker>();
  /** Queues without large payloads, as of the last read. */
  #small: ReadonlySet<string> = new Set();

  constructor(maxPayloadBytes: number) {
    this.#safe = Math.max(1, Math.floor(SURPRISE_BYTES / maxPayloadBytes));
  }

  /** Those that are read by a call of their own, before the common one. */
  apart(ready: readonly Worker[]): Worker[] {
    const most = Math.max(...ready.map((worker) => share(worker, ready)));
    return ready.filter((worker) => !this.#quiet.has(worker) && share(worker, ready) * 2 < most);
  }

  /** COUNT of a call that reads these. */
  of(together: readonly Worker[], ready = together): number {
    const wanted = this.#wanted(together, ready);
    return together.every(({ keys }) => this.#small.has(keys.large)) ? wanted : Math.min(wanted, this.#safe);
  }

  /** A read asked for `count`, with credit for `credit`, and brought `tasks`. */
  saw(worker: Worker, { count, credit, tasks }: { count: number; credit: number; tasks: number }): void {
    if (tasks < Math.min(count, credit)) this.#quiet.add(worker);
    else this.#quiet.delete(worker);
  }

  /** Asks which queues have large payloads, where that matters for the next read. Sent behind the read, so that it is as new. */
  async look(link: Link, together: readonly Worker[], deadlineMs: number): Promise<void> {
    if (this.#wanted(together, together) <= this.#safe) return;
    const keys = [...new Set(together.map((worker) => worker.keys.large))];
    this.#small = new Set();
    const marks = await link.send<(string | null)[]>('mget', keys, { deadlineMs });
    this.#small = new Set(keys.filter((_key, i) => marks[i] === null));
  }

  #wanted(together: readonly Worker[], ready: readonly Worker[]): number {
    const busy = together.filter((worker) => !this.#quiet.has(worker));
    const shares = (busy.length > 0 ? busy : together).map((worker) => share(worker, ready));
    return busy.length > 0 ? Math.min(...shares) : Math.max(...shares);
  }
}

/**
 * The most that a stream may bring. At least one, or a handler with a single place would never read. If each of its streams
 * brings one, the surplus is returned.
 */
function share({ credit, window }: Worker, ready: readonly Worker[]): number {
  const streams = ready.filter((worker) => worker.window === window).length;
  return Math.min(window.readMost, Math.max(1, Math.floor(credit / streams)));
}
