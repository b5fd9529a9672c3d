import { Ring, RingNode } from '../collections/ring.js';
import type { CancelTimer, Clock } from '../time/clock.js';

/** Fails a command. One whose deadline has passed may answer for how many milliseconds more it waits, and is then not failed. */
type Fail = (why: 'deadline' | 'closed') => number | undefined;

/** A command that was sent and is not yet answered. */
class Pending extends RingNode {
  constructor(
    public dueMs: number,
    readonly fail: Fail,
  ) {
    super();
  }
}

/**
 * The commands that were sent and are not yet answered. Settles each of them: by its deadline, or when the socket dies.
 *
 * One timer for all, none while idle. Commands of one deadline are due in the order they were sent. So each
 * deadline has its own queue, and only the heads are looked at: adding and settling are O(1).
 */
export class InFlight {
  /** By deadline, in milliseconds. */
  readonly #queues = new Map<number, Ring<Pending>>();
  readonly #clock: Clock;
  #cancel: CancelTimer | undefined;
  #armedForMs = Infinity;
  #size = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a command is in flight. */
  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Registers a command. The answer takes it out again; false from it means: too late, already failed. */
  add(deadlineMs: number, fail: Fail): () => boolean {
    const pending = new Pending(this.#clock.monoMs() + deadlineMs, fail);
    this.#enter(pending, deadlineMs);
    if (pending.dueMs < this.#armedForMs) this.#arm(pending.dueMs);
    return () => this.#leave(pending);
  }

  /** Fails everything: the socket died, no reply can come any more. */
  failAll(): void {
    const all = [...this.#queues.values()].flatMap((queue) => queue.elements());
    for (const pending of all) if (this.#leave(pending)) pending.fail('closed');
  }

  /** Fails everything and drops the timer. */
  close(): void {
    this.failAll();
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedForMs = Infinity;
  }

  #enter(pending: Pending, deadlineMs: number): void {
    let queue = this.#queues.get(deadlineMs);
    if (queue === undefined) this.#queues.set(deadlineMs, (queue = new Ring()));
    queue.push(pending);
    this.#size++;
  }

  #leave(pending: Pending): boolean {
    const wasPending = pending.unlink();
    if (wasPending) this.#size--;
    return wasPending;
  }

  #arm(dueMs: number): void {
    this.#cancel?.();
    this.#armedForMs = dueMs;
    this.#cancel = this.#clock.timer(Math.max(1, dueMs - this.#clock.monoMs()), () => {
      // After a long computation or a pause, a process runs its timers before it reads its sockets. The replies may have been
      // there all the time. So they are read first, and only commands without a reply are late.
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
      let first = queue.first;
      for (; first !== undefined && first.dueMs <= now; first = queue.first) {
        this.#leave(first);
        const moreMs = first.fail('deadline');
        if (moreMs === undefined) continue;
        first.dueMs = now + moreMs;
        // Behind one that is due earlier and was looked at, or in a queue that this loop comes to yet.
        this.#enter(first, moreMs);
      }
      // Callers may use computed deadlines, such as the rest of a lease. So an empty queue is not kept.
      if (first === undefined) this.#queues.delete(deadlineMs);
      else nextMs = Math.min(nextMs, first.dueMs);
    }
    if (nextMs < this.#armedForMs) this.#arm(nextMs);
  }
}
