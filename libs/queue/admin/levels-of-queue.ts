import { LEVELS, placeOf, placesOf, type Priority } from '../store/levels.js';
import type { Counts } from '../store/scripts/counts.script.js';
import type { DeadLetters } from './dead-letters.js';
import {
  checkLetterList,
  checkRedrive,
  type DeadLetterFilter,
  type DeadLetterListOptions,
  type DeadLetterPurgeOptions,
  type RedriveOptions,
} from './dead-letters.options.js';
import type { PurgeState } from './queue-purge.js';
import type { GroupChoice, ListOptions, TaskPage } from './queue.operations.js';
import type { DeadLetter, TaskInfo } from './task-info.js';
import type { CancelOutcome } from './task-search.js';
import { paged, redriveAll, sumOf, type DeadLettersOfTasks, type LettersOfName } from './whole-queue.js';

/** The operations on one place: on a queue's own stream, or on that of one of its levels. */
export interface PlaceOperations {
  counts(place: string, choice: GroupChoice): Promise<Counts>;
  list(place: string, options: ListOptions): Promise<TaskPage>;
  inspect(place: string, id: string, group: string): Promise<TaskInfo | undefined>;
  remove(place: string, id: string, group: string): Promise<boolean>;
  runNow(place: string, id: string, group: string): Promise<boolean>;
  cancel(place: string, id: string, group: string): Promise<CancelOutcome>;
  purge(place: string, state: PurgeState, group: string): Promise<number>;
  dead(place: string): DeadLetters;
}

/**
 * The operations on queues, of which some have levels of priority: then on all of them. A level has a stream of its own, so these are one
 * operation per level, and not of one instant. A task never changes its level, so a search looks at one level after the other. For a queue
 * without levels, each operation is that of its only place.
 */
export class LevelsOfQueue {
  readonly #on: PlaceOperations;
  readonly #isLevelled: (queue: string) => boolean;

  constructor(operations: PlaceOperations, isLevelled: (queue: string) => boolean) {
    this.#on = operations;
    this.#isLevelled = isLevelled;
  }

  /** The places of a queue: one, or one per level. */
  #placesOf(queue: string): readonly string[] {
    return this.#isLevelled(queue) ? placesOf(queue) : [queue];
  }

  async counts(queue: string, choice: GroupChoice): Promise<Counts> {
    if (!this.#isLevelled(queue)) return this.#on.counts(queue, choice);
    const all = await Promise.all(
      LEVELS.map(async (level) => [level, await this.#on.counts(placeOf(queue, level), choice)] as const),
    );
    const levels = Object.fromEntries(all) as Record<Priority, Counts>;
    return { ...sumOf(Object.values(levels)), levels };
  }

  async list(queue: string, options: ListOptions): Promise<TaskPage> {
    if (!this.#isLevelled(queue)) return this.#on.list(queue, options);
    const { after, limit = 100, ...others } = options;
    const pageOf = ({ stream }: { stream: string }, page: ListOptions): Promise<TaskPage> =>
      this.#on.list(stream, { ...others, ...page });
    return labelled(await paged(each(queue), 'list', limit, after, pageOf));
  }

  async inspect(queue: string, id: string, group: string): Promise<TaskInfo | undefined> {
    for (const { name, stream } of this.#each(queue)) {
      const found = await this.#on.inspect(stream, id, group);
      if (found !== undefined) return name === undefined ? found : { ...found, priority: name };
    }
    return undefined;
  }

  remove(queue: string, id: string, group: string): Promise<boolean> {
    return this.#first(queue, (place) => this.#on.remove(place, id, group));
  }

  runNow(queue: string, id: string, group: string): Promise<boolean> {
    return this.#first(queue, (place) => this.#on.runNow(place, id, group));
  }

  async cancel(queue: string, id: string, group: string): Promise<CancelOutcome> {
    for (const place of this.#placesOf(queue)) {
      const outcome = await this.#on.cancel(place, id, group);
      if (outcome !== 'not-found') return outcome;
    }
    return 'not-found';
  }

  async purge(queue: string, state: PurgeState, group: string): Promise<number> {
    const purged = await Promise.all(this.#placesOf(queue).map((place) => this.#on.purge(place, state, group)));
    return purged.reduce((total, count) => total + count, 0);
  }

  dead(queue: string): DeadLetters {
    if (!this.#isLevelled(queue)) return this.#on.dead(queue);
    const all = each(queue).map((one) => ({ ...one, letters: withPriority(one.name, this.#on.dead(one.stream)) }));
    const letters: DeadLettersOfTasks = {
      list: async (options?: DeadLetterListOptions): Promise<TaskPage<DeadLetter>> => {
        const { after, limit = 100, filter } = checkLetterList(options);
        return labelled(
          await paged(all, 'dead().list', limit, after, (one, page) =>
            one.letters.list({ ...(filter && { filter }), ...page }),
          ),
        );
      },
      redrive: async (options?: RedriveOptions): Promise<number> =>
        redriveAll(all, checkRedrive(options), (_, filter) => filter),
      purge: async (options?: DeadLetterPurgeOptions): Promise<number> => {
        const purged = await Promise.all(all.map((one) => one.letters.purge(options)));
        return purged.reduce((total, count) => total + count, 0);
      },
    };
    // This object has every public member of DeadLetters, and needs none of the private ones.
    return letters as unknown as DeadLetters;
  }

  #each(queue: string): readonly { readonly name: Priority | undefined; readonly stream: string }[] {
    return this.#isLevelled(queue) ? each(queue) : [{ name: undefined, stream: queue }];
  }

  async #first(queue: string, step: (place: string) => Promise<boolean>): Promise<boolean> {
    for (const place of this.#placesOf(queue)) if (await step(place)) return true;
    return false;
  }
}

function each(queue: string): readonly { readonly name: Priority; readonly stream: string }[] {
  return LEVELS.map((name) => ({ name, stream: placeOf(queue, name) }));
}

/** The tasks of a page, with their level instead of a name. */
function labelled<T extends TaskInfo>({ tasks, next }: TaskPage<T>): TaskPage<T> {
  return { tasks: tasks.map(({ name, ...task }) => ({ ...task, priority: name }) as unknown as T), next };
}

/** The dead letters of one level. Filters are told the level. */
function withPriority(priority: Priority, letters: DeadLetters): LettersOfName['letters'] {
  const told = <O extends { filter?: DeadLetterFilter }>(options: O | undefined): O =>
    (options?.filter === undefined
      ? { ...options }
      : {
          ...options,
          filter: (letter: DeadLetter) => options.filter?.({ ...letter, priority }) === true,
        }) as O;
  return {
    list: (options) => letters.list(told(options)),
    redrive: (options) => letters.redrive(told(options)),
    purge: (options) => letters.purge(told(options)),
  };
}
