import { checkLetterList, checkLetterPurge, checkRedrive } from '../../queue/admin/dead-letters.options.js';
import type {
  DeadLetter,
  DeadLetters,
  DeadLetterFilter,
  DeadLetterListOptions,
  DeadLetterPurgeOptions,
  RedriveOptions,
} from '../../queue/index.js';

/** A dead letter of a test, with the very error that its handler threw (`===`). */
export interface TestLetter<T = unknown> {
  readonly letter: DeadLetter<T>;
  readonly thrown: unknown;
}

/** The dead letters of one queue in this process. */
export class TestingDeadLetters<T> implements Pick<DeadLetters<T>, keyof DeadLetters<T>> {
  readonly #letters: TestLetter<T>[];
  readonly #redrive: (letter: DeadLetter<T>) => void;

  constructor(letters: TestLetter<T>[], redrive: (letter: DeadLetter<T>) => void) {
    this.#letters = letters;
    this.#redrive = redrive;
  }

  list(options?: DeadLetterListOptions<T>): ReturnType<DeadLetters<T>['list']> {
    return settled(() => {
      const { limit = 100, after, filter = () => true } = checkLetterList(options);
      const from = this.#letters.findIndex(({ letter }) => letter.entryId === after) + 1;
      const found = this.#letters.slice(from).flatMap(({ letter }) => (filter(letter) ? [letter] : []));
      const tasks = found.slice(0, limit);
      return { tasks, next: found.length > limit ? tasks.at(-1)?.entryId : undefined };
    });
  }

  redrive(options?: RedriveOptions<T>): Promise<number> {
    return settled(() => {
      const { filter, toGroup } = checkRedrive(options);
      const taken = this.#take(filter);
      for (const letter of taken) this.#redrive({ ...letter, group: toGroup ?? letter.group });
      return taken.length;
    });
  }

  purge(options?: DeadLetterPurgeOptions<T>): Promise<number> {
    return settled(() => this.#take(checkLetterPurge(options).filter).length);
  }

  #take(filter: DeadLetterFilter<T> = () => true): DeadLetter<T>[] {
    const taken = this.#letters.filter(({ letter }) => filter(letter));
    for (const each of taken) this.#letters.splice(this.#letters.indexOf(each), 1);
    return taken.map(({ letter }) => letter);
  }
}

/** What is refused rejects, as in production. */
function settled<R>(work: () => R): Promise<R> {
  return new Promise((resolve) => {
    resolve(work());
  });
}
