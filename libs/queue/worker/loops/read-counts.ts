import type { Clock, Link } from '../../../redis/index.js';
import { ShareTurns } from '../../priority/share-turns.js';
import { backlogBytesScript } from '../../store/scripts/backlog-bytes.script.js';
import type { ConcurrencyWindow } from '../concurrency-window.js';
import type { Worker } from '../worker.js';

/** The most that one read may bring, in bytes, whatever the size of its tasks. */
const REPLY_BYTES = 64 * 2 ** 20;
/** For how long a measured size below `REPLY_BYTES` counts. Publishers do not add that much in this time. */
const KNOWN_MS = 100;
/** How often the size is measured again. */
const AGAIN_MS = 50;
/** How often a larger size is measured again: for a long stream, this takes Redis a millisecond or two. */
const LARGE_AGAIN_MS = 1_000;

/**
 * Decides how many tasks a read asks for. COUNT applies to each stream of an XREADGROUP, and Redis counts tasks and not bytes.
 *
 * - A worker with little credit must not slow down the others. While its stream is quiet, the stream takes part in the common
 *   read, with the COUNT of the others. If the stream then brings more than the worker has credit for, the surplus is returned.
 *   While the stream has tasks, it is read by a call of its own.
 * - Named tasks that share a limit compete for its room. While several of their streams have tasks, each of these is read by a call
 *   of its own with its share of the room. If there is room for fewer tasks than there are such streams, they take turns.
 * - The levels of a queue's priority get that room by their shares. A level that gets none of it now is not read now.
 * - A reply must fit into memory. A worker knows the size of the tasks that it has seen, but not of the next ones. So a read asks
 *   for more tasks than fit into {@link REPLY_BYTES} at `maxPayloadBytes` each only while its streams have less than that in all.
 */
export class ReadCounts {
  readonly #clock: Clock;
  readonly #safe: number;
  /** Workers whose last read brought less than it asked for, so that their streams had no more. At first, none. */
  readonly #quiet = new Set<Worker>();
  /** The streams that were measured last, by their keys. */
  #measured = '';
  #isSmall = false;
  #measuredMs = -Infinity;
  /** Whose turn it is, among streams that compete. */
  #reads = 0;
  /** Whose turn it is, among the levels of a queue, by their common limit. */
  readonly #turns = new Map<ConcurrencyWindow, ShareTurns<Worker>>();
  /** How many tasks each level that has tasks may bring in this turn, while several have some. */
  #parts: ReadonlyMap<Worker, number> = new Map();

  constructor(maxPayloadBytes: number, clock: Clock) {
    this.#clock = clock;
    this.#safe = mostAtOnce(maxPayloadBytes);
  }

  /** The workers whose streams are read by a call of their own, before the common one. */
  apart(ready: readonly Worker[]): Worker[] {
    this.#divide(ready);
    const share = this.#shares(ready);
    const most = Math.max(...ready.map(share));
    const small = ready.filter((worker) => !this.#quiet.has(worker) && share(worker) * 2 < most);
    const competing = this.#competing(ready);
    if (competing.length === 0) return small;
    const inTurn = competing.flatMap((workers) => {
      if (isLevelled(workers[0])) return workers.filter((worker) => (this.#parts.get(worker) ?? 0) > 0);
      const from = this.#reads++ % workers.length;
      const room = workers[0]?.window.outermost.room ?? 1;
      return [...workers.slice(from), ...workers.slice(0, from)].slice(0, Math.max(1, room));
    });
    return [...small.filter((worker) => !competes(worker)), ...inTurn];
  }

  /** Whether several of these streams have tasks and compete for room, so that none of them is read by the common call. */
  compete(ready: readonly Worker[]): boolean {
    return this.#competing(ready).length > 0;
  }

  /** The COUNT of a call that reads the streams of the workers `together`. */
  of(together: readonly Worker[], ready = together): number {
    const wanted = this.#wanted(together, ready);
    return wanted <= this.#safe || this.#knownSmall(together) ? wanted : this.#safe;
  }

  /** A read asked for `count`, with credit for `credit`, and brought `tasks`. */
  saw(worker: Worker, { count, credit, tasks }: { count: number; credit: number; tasks: number }): void {
    // What is beyond the credit is returned.
    if (isLevelled(worker)) this.#turnsOf(worker).took(worker, Math.max(0, Math.min(tasks, credit)));
    if (tasks < Math.min(count, credit)) this.#quiet.add(worker);
    else this.#quiet.delete(worker);
  }

  /** Measures what there is to read, if the next read may ask for many. Sent after a read, so that the reply is as new. */
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
    const shares = (busy.length > 0 ? busy : together).map(this.#shares(ready));
    return busy.length > 0 ? Math.min(...shares) : Math.max(...shares);
  }

  /** Divides the room among the levels that have tasks, for this turn. */
  #divide(ready: readonly Worker[]): void {
    const busy = new Map<ConcurrencyWindow, Worker[]>();
    for (const worker of ready) {
      if (!isLevelled(worker) || this.#quiet.has(worker)) continue;
      const { outermost } = worker.window;
      busy.set(outermost, [...(busy.get(outermost) ?? []), worker]);
    }
    if (busy.size === 0 && this.#parts.size === 0) return;
    const parts = [...busy].flatMap(([{ room }, workers]) => {
      const [first] = workers;
      // Also for one alone: its turns count, so that those who come later have no claim to the time before.
      return first === undefined ? [] : [...this.#turnsOf(first).divide(workers, Math.max(1, room))];
    });
    this.#parts = new Map(parts);
  }

  #turnsOf({ window: { outermost } }: Worker): ShareTurns<Worker> {
    const known = this.#turns.get(outermost) ?? new ShareTurns<Worker>(({ handler }) => handler.level?.share ?? 1);
    this.#turns.set(outermost, known);
    return known;
  }

  /** The workers that share a limit and whose streams have tasks, by limit, where there are several. */
  #competing(ready: readonly Worker[]): Worker[][] {
    const busy = new Map<ConcurrencyWindow, Worker[]>();
    for (const worker of ready) {
      if (!competes(worker) || this.#quiet.has(worker)) continue;
      const { outermost } = worker.window;
      busy.set(outermost, [...(busy.get(outermost) ?? []), worker]);
    }
    return [...busy.values()].filter(({ length }) => length > 1);
  }

  /**
   * How many tasks each stream may bring. At least one: otherwise a handler with credit for a single task would never read. If each
   * of its streams brings one task, the surplus is returned. Of named tasks with a common limit, only the streams that have tasks
   * share. `ready` is gone through once, because a process may have a thousand streams.
   */
  #shares(ready: readonly Worker[]): (worker: Worker) => number {
    const [all, busy] = [new Map<ConcurrencyWindow, number>(), new Map<ConcurrencyWindow, number>()];
    for (const worker of ready) {
      const { window } = worker;
      all.set(window, (all.get(window) ?? 0) + 1);
      if (!this.#quiet.has(worker)) busy.set(window.outermost, (busy.get(window.outermost) ?? 0) + 1);
    }
    return (worker) => {
      const { credit, window } = worker;
      const part = this.#parts.get(worker);
      if (part !== undefined) return Math.min(window.readMost, Math.max(1, Math.min(part, credit)));
      const own = this.#quiet.has(worker) ? 1 : 0;
      const streams = competes(worker) ? own + (busy.get(window.outermost) ?? 0) : (all.get(window) ?? 0);
      return Math.min(window.readMost, Math.max(1, Math.floor(credit / streams)));
    };
  }
}

/** How many tasks fit into one reply, whatever their size. */
export function mostAtOnce(maxPayloadBytes: number): number {
  return Math.max(1, Math.floor(REPLY_BYTES / maxPayloadBytes));
}

function keysOf(workers: readonly Worker[]): string {
  return workers.map(({ keys }) => keys.stream).join(' ');
}

/** Whether the worker's named task, or its level, shares a limit with others. */
function competes({ window }: Worker): boolean {
  return window.outermost !== window || window.byShare;
}

/** Whether the worker reads one level of a queue's priority. */
function isLevelled(worker: Worker | undefined): boolean {
  return worker?.window.byShare === true;
}
