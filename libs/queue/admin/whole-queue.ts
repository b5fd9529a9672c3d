import { badOption, isSluiceError } from '../../weave/index.js';
import type { CheckedPageOptions, HistoryPage } from '../history/history-pages.js';
import { streamOfTask, type QueueOfTasks } from '../named-tasks.js';
import type { Counts } from '../store/scripts/counts.script.js';
import type { DeadLetters } from './dead-letters.js';
import {
  checkLetterList,
  checkLetterPurge,
  checkRedrive,
  type DeadLetterFilter,
  type DeadLetterListOptions,
  type DeadLetterPurgeOptions,
  type RedriveOptions,
} from './dead-letters.options.js';
import type { PauseResult } from './pause-switch.js';
import type { PauseOptions } from './pause.options.js';
import type { PurgeState } from './queue-purge.js';
import type { GroupChoice, ListOptions, TaskPage } from './queue.operations.js';
import type { DeadLetter } from './task-info.js';
import type { QueueWorker } from './worker-info.js';

/** The counts of a queue of named tasks: of all names together, and of each. */
export interface CountsOfTasks<Name extends string = string> extends Counts {
  readonly tasks: Readonly<Record<Name, Counts>>;
}

/** The dead letters of all names of a queue. Each letter has its `name`. */
export type DeadLettersOfTasks = Pick<DeadLetters, 'list' | 'redrive' | 'purge'>;

/** What a whole queue is made of: the operations on each of its streams. */
export interface WholeQueueParts {
  counts(queue: string, choice: GroupChoice): Promise<Counts>;
  list(queue: string, options: ListOptions): Promise<TaskPage>;
  pause(queue: string, options?: PauseOptions): Promise<PauseResult>;
  resume(queue: string): Promise<boolean>;
  purge(queue: string, state: PurgeState, choice: GroupChoice): Promise<number>;
  workers(queue: string): Promise<QueueWorker[]>;
  dead(queue: string): DeadLettersOfTasks;
}

/** The names of a queue that some process has worked on. `later`: whether names that come later are paused; undefined: as it is. */
export type NamesOf = (queue: string, later?: 'paused' | 'resumed') => Promise<readonly string[]>;

/** One name and its stream. */
interface Each {
  readonly name: string;
  readonly stream: string;
}

/**
 * The operations on all names of a queue of named tasks: those of the caller's definition, and those that other releases of the app work
 * on. There is one stream per name, so these operations are one per name, and not of one instant.
 */
export class WholeQueue {
  readonly #parts: WholeQueueParts;
  readonly #names: NamesOf;

  constructor(parts: WholeQueueParts, names: NamesOf) {
    this.#parts = parts;
    this.#names = names;
  }

  async counts(queue: QueueOfTasks, choice: GroupChoice): Promise<CountsOfTasks> {
    const all = await this.#all(queue);
    const counted = await Promise.all(
      all.map(async ({ name, stream }) => [name, await this.#parts.counts(stream, choice)] as const),
    );
    // A name that is used no more is not shown for ever.
    const shown = counted.filter(([name, counts]) => Object.hasOwn(queue.tasks, name) || isUsed(counts));
    return { ...sumOf(shown.map(([, counts]) => counts)), tasks: Object.fromEntries(shown) };
  }

  async list(queue: QueueOfTasks, { after, limit = 100, ...options }: ListOptions): Promise<TaskPage> {
    return paged(await this.#all(queue), 'list', limit, after, ({ stream }, page) =>
      this.#parts.list(stream, { ...options, ...page }),
    );
  }

  async pause(queue: QueueOfTasks, options?: PauseOptions): Promise<PauseResult> {
    const all = await this.#all(queue, 'paused');
    const results = await Promise.all(all.map(({ stream }) => this.#parts.pause(stream, options)));
    return {
      changed: results.some(({ changed }) => changed),
      unconfirmed: [...new Set(results.flatMap(({ unconfirmed }) => unconfirmed))],
    };
  }

  async resume(queue: QueueOfTasks): Promise<boolean> {
    const all = await this.#all(queue, 'resumed');
    return (await Promise.all(all.map(({ stream }) => this.#parts.resume(stream)))).includes(true);
  }

  /** How many tasks were removed, of all names. */
  async purge(queue: QueueOfTasks, state: PurgeState, choice: GroupChoice): Promise<number> {
    const all = await this.#all(queue);
    const purged = await Promise.all(all.map(({ stream }) => this.#parts.purge(stream, state, choice)));
    return purged.reduce((total, count) => total + count, 0);
  }

  /** Each process once per group, with the sum of its tasks. Of some names it may not have read yet: then it has no group there. */
  async workers(queue: QueueOfTasks): Promise<QueueWorker[]> {
    const all = await Promise.all((await this.#all(queue)).map(({ stream }) => this.#parts.workers(stream)));
    const reads = new Set(all.flatMap((some) => some.flatMap(({ group, consumer }) => (group ? [consumer] : []))));
    const workers = new Map<string, QueueWorker>();
    for (const worker of all.flat()) {
      if (worker.group === undefined && reads.has(worker.consumer)) continue;
      const key = JSON.stringify([worker.consumer, worker.group]);
      workers.set(key, { ...worker, running: worker.running + (workers.get(key)?.running ?? 0) });
    }
    return [...workers.values()];
  }

  /** The records of one name after the other. `pageOf` reads those of a stream. */
  async history(
    queue: QueueOfTasks,
    { state, limit, after }: CheckedPageOptions,
    pageOf: (stream: string, options: CheckedPageOptions) => Promise<HistoryPage>,
  ): Promise<HistoryPage> {
    return paged(await this.#all(queue), 'history', limit, after, ({ stream }, page) =>
      pageOf(stream, { state, limit: page.limit, after: page.after }),
    );
  }

  dead(queue: QueueOfTasks): DeadLettersOfTasks {
    const each = async (): Promise<LettersOfName[]> =>
      (await this.#all(queue)).map((one) => ({ ...one, letters: this.#parts.dead(one.stream) }));
    return {
      list: async (options?: DeadLetterListOptions): Promise<TaskPage<DeadLetter>> => {
        const { after, limit = 100, filter } = checkLetterList(options);
        return paged(await each(), 'dead().list', limit, after, ({ letters, name }, page) =>
          letters.list({ ...filtered(name, filter), ...page }),
        );
      },
      redrive: async (options?: RedriveOptions): Promise<number> => {
        const checked = checkRedrive(options);
        return redriveAll(await each(), checked);
      },
      purge: async (options?: DeadLetterPurgeOptions): Promise<number> => {
        const { filter } = checkLetterPurge(options);
        const all = await each();
        const purged = await Promise.all(all.map(({ name, letters }) => letters.purge(filtered(name, filter))));
        return purged.reduce((total, count) => total + count, 0);
      },
    };
  }

  async #all({ name: queue, tasks }: QueueOfTasks, later?: 'paused' | 'resumed'): Promise<Each[]> {
    const known = await this.#names(queue, later);
    const names = new Set([...Object.keys(tasks), ...[...known].sort()]);
    return [...names].map((name) => ({ name, stream: streamOfTask({ queue, name }) }));
  }
}

/** The counts of several places together. */
export function sumOf(all: readonly Counts[]): Counts {
  const sum = (of: (counts: Counts) => number): number => all.reduce((total, counts) => total + of(counts), 0);
  const oldest = all.flatMap(({ oldestWaitingMs }) => oldestWaitingMs ?? []);
  return {
    waiting: sum(({ waiting }) => waiting),
    running: sum(({ running }) => running),
    delayed: sum(({ delayed }) => delayed),
    dead: sum(({ dead }) => dead),
    oldestWaitingMs: oldest.length === 0 ? null : Math.max(...oldest),
    paused: all.every(({ paused }) => paused),
  };
}

/** The dead letters of one name. */
export interface LettersOfName extends Each {
  readonly letters: DeadLettersOfTasks;
}

/** The caller's filter, which is told the name of each letter. */
function filtered(name: string, filter: DeadLetterFilter | undefined): { filter?: DeadLetterFilter } {
  return filter ? { filter: (letter) => filter({ ...letter, name }) } : {};
}

function isUsed({ waiting, running, delayed, dead }: Counts): boolean {
  return waiting + running + delayed + dead > 0;
}

interface Page<T> {
  readonly tasks: readonly T[];
  readonly next: string | undefined;
}

/** A page of the tasks of all names, one name after the other. `after` and `next` say in which name a page begins, and where. */
export async function paged<T extends object, One extends Each>(
  all: readonly One[],
  operation: string,
  limit: number,
  after: string | undefined,
  pageOf: (one: One, page: { limit: number; after?: string }) => Promise<Page<T>>,
): Promise<Page<T>> {
  const [name, within] = after === undefined ? [all[0]?.name, undefined] : placeOf(after, operation);
  const first = all.findIndex((one) => one.name === name);
  if (first < 0) throw badOption(`${operation}: after`, "the 'next' of a page of this queue", after);
  const tasks: T[] = [];
  for (const [i, one] of all.entries()) {
    if (i < first) continue;
    if (i > first && tasks.length === limit) return { tasks, next: JSON.stringify([one.name]) };
    const from = i === first ? within : undefined;
    const page = await pageOf(one, { limit: limit - tasks.length, ...(from !== undefined && { after: from }) });
    tasks.push(...page.tasks.map((task) => ({ ...task, name: one.name })));
    if (page.next !== undefined) return { tasks, next: JSON.stringify([one.name, page.next]) };
  }
  return { tasks, next: undefined };
}

function placeOf(after: string, operation: string): [name?: string, within?: string] {
  try {
    const place: unknown = JSON.parse(after);
    if (Array.isArray(place) && place.every((part) => typeof part === 'string')) return place as [string, string?];
  } catch {
    // The error below says it.
  }
  throw badOption(`${operation}: after`, "the 'next' of a page of this queue", after);
}

/** One name after the other, so that `perSecond` is for all together. A name whose group is gone does not stop the others. */
export async function redriveAll(
  all: readonly LettersOfName[],
  { filter, ...options }: RedriveOptions,
  filterOf: (name: string, filter: DeadLetterFilter | undefined) => DeadLetterFilter | undefined = (name, given) =>
    filtered(name, given).filter,
): Promise<number> {
  let moved = 0;
  let noGroup: Error | undefined;
  for (const { name, letters } of all) {
    if (options.signal?.aborted === true) break;
    try {
      const own = filterOf(name, filter);
      moved += await letters.redrive({ ...options, ...(own && { filter: own }) });
    } catch (error) {
      if (!isSluiceError(error, 'SLUICE_QUEUE_NO_GROUP')) throw error;
      noGroup ??= error as Error;
    }
  }
  if (noGroup !== undefined) throw noGroup;
  return moved;
}
