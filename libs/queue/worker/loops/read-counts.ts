import type { Clock, Link } from '../../../redis/index.js';
import { backlogBytesScript } from '../../store/scripts/backlog-bytes.script.js';
import type { Worker } from '../worker.js';

/** What one read may bring, whatever the size of its tasks. */
const REPLY_BYTES = 64 * 2 ** 20;
/** For how long it is known that all there is to read makes less than that. Publishers add less in this time. */
const KNOWN_MS = 100;
/** How often that is measured again. */
const AGAIN_MS = 50;
/** How often it is measured again where there is more: of a long stream it takes Redis a millisecond or two. */
const LARGE_AGAIN_MS = 1_000;

/**
 * How many tasks to ask for: COUNT holds for each stream of an XREADGROUP, and Redis counts tasks and not bytes.
 *
 * - A worker with little credit must not slow the others. While its stream is quiet it takes part in the common read, whose
 *   COUNT is that of the others: should it bring more than there is credit for, the surplus is returned. While its stream has
 *   tasks, it is read by a call of its own.
 * - A reply must fit into memory. A worker knows the size of the tasks that it has seen, not of those that come. So a read asks
 *   for more tasks than fit into {@link REPLY_BYTES} at `maxPayloadBytes` each only while all that its streams have is less.
 */
export class ReadCounts {
  readonly #clock: Clock;
  readonly #safe: number;
  /** Streams whose last read brought all that it asked for: there is more. At first, all. */
  readonly #quiet = new Set<Worker>();
  /** The streams that were measured last, by their keys. */
  #measured = '';
  #isSmall = false;
  #measuredMs = -Infinity;

  constructor(maxPayloadBytes: number, clock: Clock) {
    this.#clock = clock;
    this.#safe = Math.max(1, Math.floor(REPLY_BYTES / maxPayloadBytes));
  }

  /** Those that are read by a call of their own, before the common one. */
  apart(ready: readonly Worker[]): Worker[] {
    const most = Math.max(...ready.map((worker) => share(worker, ready)));
    return ready.filter((worker) => !this.#quiet.has(worker) && share(worker, ready) * 2 < most);
  }

  /** COUNT of a call that reads these. */
  of(together: readonly Worker[], ready = together): number {
    const wanted = this.#wanted(together, ready);
    return wanted <= this.#safe || this.#knownSmall(together) ? wanted : this.#safe;
  }

  /** A read asked for `count`, with credit for `credit`, and brought `tasks`. */
  saw(worker: Worker, { count, credit, tasks }: { count: number; credit: number; tasks: number }): void {
    if (tasks < Math.min(count, credit)) this.#quiet.add(worker);
    else this.#quiet.delete(worker);
  }

  /** Measures what there is to read, if the next read may ask for many. Sent behind a read, so that the answer is as new. */
  async measure(link: Link, together: readonly Worker[], deadlineMs: number): Promise<void> {
    const streams = keysOf(together);
    if (this.#wanted(together, together) <= this.#safe) return;
    const againMs = this.#isSmall ? AGAIN_MS : LARGE_AGAIN_MS;
    if (streams === this.#measured && this.#clock.monoMs() - this.#measuredMs < againMs) return;
    const restKeys = together.map(({ keys }) => keys.stream);
    const bytes = await backlogBytesScript.run(link, { keys: {}, restKeys, args: {} }, { deadlineMs });
    this.#measured = streams;
    this.#isSmall = bytes >= 0 && bytes <= REPLY_BYTES;
    this.#measuredMs = this.#clock.monoMs();
  }

  #knownSmall(together: readonly Worker[]): boolean {
    const isFresh = this.#clock.monoMs() - this.#measuredMs < KNOWN_MS;
    return this.#isSmall && isFresh && this.#measured === keysOf(together);
  }

  #wanted(together: readonly Worker[], ready: readonly Worker[]): number {
    const busy = together.filter((worker) => !this.#quiet.has(worker));
    const shares = (busy.length > 0 ? busy : together).map((worker) => share(worker, ready));
    return busy.length > 0 ? Math.min(...shares) : Math.max(...shares);
  }
}

function keysOf(workers: readonly Worker[]): string {
  return workers.map(({ keys }) => keys.stream).join(' ');
}

/**
 * The most that a stream may bring. At least one, or a handler with a single place would never read. If each of its streams
 * brings one, the surplus is returned.
 */
function share({ credit, window }: Worker, ready: readonly Worker[]): number {
  const streams = ready.filter((worker) => worker.window === window).length;
  return Math.min(window.readMost, Math.max(1, Math.floor(credit / streams)));
}
