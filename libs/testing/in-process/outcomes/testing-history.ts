import { RECORDED_MAX_BYTES } from '../../../queue/store/scripts/history.fragment.js';
import type { CheckedPageOptions } from '../../../queue/history/history-pages.js';
import type { Handler } from '../../../queue/handlers/handler.registry.js';
import type { DeadLetter, FinishedState, FinishedTask, HistoryPage, Priority } from '../../../queue/index.js';
import type { Outcome } from '../../../queue/results/outcome.js';

/** A task that has run. */
interface Ended {
  readonly queue: string;
  readonly id: string;
  readonly payload: unknown;
  readonly group: string | undefined;
  readonly priority?: Priority | undefined;
  readonly attempt: number;
  readonly publishedAt: Date;
}

/** How it has ended. */
type How = Pick<FinishedTask, 'state' | 'attempts'> & Partial<Pick<FinishedTask, 'result' | 'reason' | 'error'>>;

/** What the queues of a test record of tasks that have ended, by the rules of the real queue. Its runs take no time. */
export class TestingHistory {
  readonly #nowMs: () => number;
  readonly #keyOf: (task: Ended) => string | undefined;
  readonly #records = new Map<string, [number: number, task: FinishedTask][]>();
  #count = 0;

  constructor(nowMs: () => number, keyOf: (task: Ended) => string | undefined) {
    this.#nowMs = nowMs;
    this.#keyOf = keyOf;
  }

  completed(handler: Handler, task: Ended, { kind, text }: Outcome): void {
    const isKept = kind === 'returned' && text !== '' && Buffer.byteLength(text) <= RECORDED_MAX_BYTES;
    const how = { state: 'completed', attempts: task.attempt, ...(isKept && { result: JSON.parse(text) as unknown }) };
    this.#add(handler, task, how as How);
  }

  dropped(handler: Handler, task: Ended, error: string): void {
    this.#add(handler, task, { state: 'completed', attempts: task.attempt, reason: 'dropped', error });
  }

  failed(handler: Handler, task: Ended, { reason, error }: DeadLetter, attempts: number): void {
    this.#add(handler, task, { state: 'failed', attempts, reason, error });
  }

  page(queue: string, { state, limit, after }: CheckedPageOptions): HistoryPage {
    const older = this.#of(queue, state).filter(([number]) => number < Number(after ?? Infinity));
    const page = older.slice(0, limit);
    const next = older.length > limit ? page.at(-1)?.[0].toString() : undefined;
    return { tasks: page.map(([, task]) => task), next };
  }

  /** Deletes the records. Returns how many there were. */
  purge(queue: string, state: FinishedState): number {
    return this.#of(queue, state).splice(0).length;
  }

  /** Newest first. */
  #of(queue: string, state: FinishedState): [number: number, task: FinishedTask][] {
    const key = JSON.stringify([queue, state]);
    const records = this.#records.get(key) ?? [];
    this.#records.set(key, records);
    return records;
  }

  #add({ history, level, noting }: Handler, task: Ended, how: How): void {
    const keep = history?.[how.state] ?? 0;
    if (keep === 0) return;
    const { id, payload, group = '', priority = 'normal', publishedAt } = task;
    const payloadBytes = Buffer.byteLength(JSON.stringify(payload));
    const orderingKey = this.#keyOf(task);
    const at = new Date(this.#nowMs());
    const records = this.#of(noting.queue, how.state);
    const record = {
      ...{ id, payload: payloadBytes > RECORDED_MAX_BYTES ? undefined : payload, payloadBytes },
      ...(level && { priority }),
      ...(orderingKey !== undefined && { orderingKey }),
      ...{ deliveries: 1, group, worker: 'test', publishedAt, startedAt: at, finishedAt: at, ranMs: 0 },
      ...how,
    };
    records.unshift([++this.#count, record]);
    records.length = Math.min(records.length, keep);
  }
}
