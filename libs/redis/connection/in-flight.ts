import type { CancelTimer, Clock } from '../time/clock.js';

/** Fails a command. One whose deadline has passed may answer for how many milliseconds more it waits, and is then not failed. */
type Fail = (why: 'deadline' | 'closed') => number | undefined;

/**
 * Stands at the end of each queue. Not made where places are: a function keeps alive whatever the functions beside it
 * refer to, which there is a command with its reply.
 */
const nobody: Fail = () => undefined;

/**
 * A place in a queue. A queue is a ring that begins and ends with a place of nobody.
 *
 * Not a Set: entered and left 100,000 times a second, a Set's table is replaced all the time, V8 links each dead table to the
 * next one, and once one of them has grown old, all that was ever in them survives until the next full collection.
 */
class Place {
  prev: Place = this;
  next: Place = this;

  constructor(
    public dueMs: number,
    readonly fail: Fail,
  ) {}

  enter(end: Place): void {
    this.prev = end.prev;
    this.next = end;
    end.prev.next = this;
    end.prev = this;
  }

  /** False if it was left before. */
  leave(): boolean {
    if (this.next === this) return false;
    this.prev.next = this.next;
    this.next.prev = this.prev;
    this.prev = this.next = this;
    return true;
  }
}

/**
 * What was sent and not yet answered. Settles every entry: by its deadline, or when the socket dies.
 *
 * One timer for all, none while idle. Entries of one deadline are due in the order they were added, so each
 * deadline keeps its own queue and only the heads are looked at: adding and settling are O(1).
 */
export class InFlight {
  /** By deadline, the place of nobody. */
  readonly #queues = new Map<number, Place>();
  readonly #clock: Clock;
  #cancel: CancelTimer | undefined;
  #armedForMs = Infinity;
  #size = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether anything is. */
  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Registers a command. The answer takes it out again; false from it means: too late, already failed. */
  add(deadlineMs: number, fail: Fail): () => boolean {
    const place = new Place(this.#clock.monoMs() + deadlineMs, fail);
    this.#enter(place, deadlineMs);
    if (place.dueMs < this.#armedForMs) this.#arm(place.dueMs);
    return () => this.#leave(place);
  }

  /** Fails everything: the socket died, no reply can come any more. */
  failAll(): void {
    const waiting = [...this.#queues.values()].flatMap((end) => [...entered(end)]);
    for (const place of waiting) if (this.#leave(place)) place.fail('closed');
  }

  /** Fails everything and drops the timer. */
  close(): void {
    this.failAll();
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedForMs = Infinity;
  }

  #enter(place: Place, deadlineMs: number): void {
    let end = this.#queues.get(deadlineMs);
    if (end === undefined) this.#queues.set(deadlineMs, (end = new Place(Infinity, nobody)));
    place.enter(end);
    this.#size++;
  }

  #leave(place: Place): boolean {
    const stood = place.leave();
    if (stood) this.#size--;
    return stood;
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
    for (const [deadlineMs, end] of this.#queues) {
      for (const place of [...entered(end, now)]) {
        const moreMs = this.#leave(place) ? place.fail('deadline') : undefined;
        if (moreMs === undefined) continue;
        place.dueMs = now + moreMs;
        this.#enter(place, moreMs);
        nextMs = Math.min(nextMs, place.dueMs);
      }
      nextMs = Math.min(nextMs, end.next.dueMs);
      // Callers may use computed deadlines (what is left of a lease): an empty queue is not kept.
      if (end.next === end) this.#queues.delete(deadlineMs);
    }
    if (nextMs < this.#armedForMs) this.#arm(nextMs);
  }
}

/** Who stands in a queue, in order; with `dueMs`, only those who are due by then. */
function* entered(end: Place, dueMs = Infinity): Generator<Place> {
  for (let place = end.next; place !== end && place.dueMs <= dueMs; place = place.next) yield place;
}
