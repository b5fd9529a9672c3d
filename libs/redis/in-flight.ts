import type { CancelTimer, Clock } from './clock.js';

interface Waiting {
  readonly dueMs: number;
  readonly fail: (why: 'deadline' | 'closed') => void;
}

/**
 * What was sent and not yet answered. Settles every entry: by its deadline, or when the socket dies.
 *
 * One timer for all, none while idle. Entries of one deadline are due in the order they were added, so each
 * deadline keeps its own queue and only the heads are looked at: adding and settling are O(1).
 */
export class InFlight {
  readonly #queues = new Map<number, Set<Waiting>>();
  readonly #clock: Clock;
  #cancel: CancelTimer | undefined;
  #armedForMs = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Registers a command. The answer takes it out again; false from it means: too late, already failed. */
  add(deadlineMs: number, fail: Waiting['fail']): () => boolean {
    let queue = this.#queues.get(deadlineMs);
    if (queue === undefined) this.#queues.set(deadlineMs, (queue = new Set()));
    const waiting = { dueMs: this.#clock.monoMs() + deadlineMs, fail };
    queue.add(waiting);
    if (waiting.dueMs < this.#armedForMs) this.#arm(waiting.dueMs);
    const entries = queue;
    return () => entries.delete(waiting);
  }

  /** Fails everything: the socket died, no reply can come any more. */
  failAll(): void {
    for (const queue of this.#queues.values()) {
      const waiting = [...queue];
      queue.clear();
      for (const { fail } of waiting) fail('closed');
    }
  }

  /** Fails everything and drops the timer. */
  close(): void {
    this.failAll();
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedForMs = Infinity;
  }

  #arm(dueMs: number): void {
    this.#cancel?.();
    this.#armedForMs = dueMs;
    this.#cancel = this.#clock.timer(Math.max(1, dueMs - this.#clock.monoMs()), () => {
      // A process that was held up (a long computation, a pause) runs its timers before it reads its sockets, where the
      // replies may have been waiting all the time: they are read first, and only what is still missing is late.
      setImmediate(() => {
        this.#expire();
      });
    });
  }

  #expire(): void {
    this.#cancel = undefined;
    this.#armedForMs = Infinity;
    const now = this.#clock.monoMs();
    let nextMs = Infinity;
    for (const [deadlineMs, queue] of this.#queues) {
      for (const waiting of queue) {
        if (waiting.dueMs > now) {
          nextMs = Math.min(nextMs, waiting.dueMs);
          break;
        }
        queue.delete(waiting);
        waiting.fail('deadline');
      }
      // Callers may use computed deadlines (what is left of a lease): an empty queue is not kept.
      if (queue.size === 0) this.#queues.delete(deadlineMs);
    }
    if (nextMs < this.#armedForMs) this.#arm(nextMs);
  }
}
