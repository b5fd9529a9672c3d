import type { SettledCounts, SettledTasks } from '../../queue/index.js';

/** How a task may end. */
type Outcome = Exclude<keyof SettledCounts, 'total'>;

/** Counts how the tasks of one `publishMany` end, and publishes what follows. */
export class TestingJoin {
  readonly #total: number;
  readonly #publish: (counts: SettledCounts) => void;
  readonly #ended = { completed: 0, failed: 0, removed: 0 };

  /** @param publish called once, when all tasks have ended */
  constructor(total: number, publish: (counts: SettledCounts) => void) {
    this.#total = total;
    this.#publish = publish;
    this.#look();
  }

  /** A task has ended. One that is redriven afterwards belongs to no join any more. */
  settle(outcome: Outcome): void {
    this.#ended[outcome]++;
    this.#look();
  }

  #look(): void {
    const { completed, failed, removed } = this.#ended;
    if (completed + failed + removed === this.#total) this.#publish({ total: this.#total, ...this.#ended });
  }
}

/** The payload of the task that follows, as JSON. */
export function settledTasks(payload: string, counts: SettledCounts): string {
  return JSON.stringify({ payload: JSON.parse(payload) as unknown, counts } satisfies SettledTasks);
}
