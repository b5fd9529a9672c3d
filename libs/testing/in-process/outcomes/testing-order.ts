import type { HandlerRegistry } from '../../../queue/handlers/handler.registry.js';
import type { ResolvedOrdering } from '../../../queue/ordering/ordering.options.js';

/** A task that has not ended yet. */
interface Waiting {
  readonly queue: string;
  readonly id: string;
  readonly group: string | undefined;
  /** Whether it has run, and runs again: then it still holds its key. */
  readonly began?: boolean;
  readonly dueMs: number;
  readonly publishedAt: Date;
}

/** The tasks of a test. */
interface Tasks {
  readonly waiting: readonly Waiting[];
  readonly running: readonly Waiting[];
  isDue(task: Waiting): boolean;
  letters(name: string): readonly { readonly letter: { readonly id: string } }[];
}

/** The ordering keys of a test's tasks. */
export class TestingOrder {
  readonly #keys = new Map<string, string>();

  /** A task was published. */
  note(queue: string, id: string, key: string | undefined): void {
    if (key !== undefined) this.#keys.set(JSON.stringify([queue, id]), key);
  }

  keyOf({ queue, id }: Pick<Waiting, 'queue' | 'id'>): string | undefined {
    return this.#keys.get(JSON.stringify([queue, id]));
  }

  /** Whether the keys of a queue stop after a dead letter. */
  stops(name: string, registry: HandlerRegistry): boolean {
    return orderingOf(name, registry)?.afterDeadLetter === 'stop';
  }

  /** Whether a task has to wait for another one of its key: as in the real queue, in each group by itself. */
  waits(task: Waiting, tasks: Tasks, registry: HandlerRegistry): boolean {
    const key = this.keyOf(task);
    if (key === undefined || task.began === true) return false;
    if (orderingOf(task.queue, registry) === undefined) return false;
    const isOfKey = (each: Pick<Waiting, 'queue' | 'id'>): boolean =>
      each.queue === task.queue && this.keyOf(each) === key;
    const stops = this.stops(task.queue, registry);
    if (stops && tasks.letters(task.queue).some(({ letter: { id } }) => isOfKey({ queue: task.queue, id })))
      return true;
    const others = [...tasks.waiting, ...tasks.running].filter(
      (each) => each !== task && isOfKey(each) && sharesGroup(each, task),
    );
    return others.some(
      (each) =>
        each.began === true ||
        !tasks.waiting.includes(each) ||
        (tasks.isDue(each) && enteredMs(each) < enteredMs(task)),
    );
  }
}

function orderingOf(name: string, registry: HandlerRegistry): ResolvedOrdering | undefined {
  return registry.enabled().find(({ queue }) => queue === name)?.options.ordering;
}

/** When a task came into the queue: a delayed one, when it was due. */
function enteredMs({ dueMs, publishedAt }: Waiting): number {
  return Math.max(dueMs, publishedAt.getTime());
}

function sharesGroup(a: Waiting, b: Waiting): boolean {
  return a.group === undefined || b.group === undefined || a.group === b.group;
}
