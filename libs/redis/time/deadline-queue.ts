import type { CancelTimer, Clock } from './clock.js';

/** How often, at least, both clocks are looked at: a timer sleeps through a suspended machine. */
const LOOK_EVERY_MS = 1_000;
/** By more than this, and the wall clock has not just been read a little later: it counts whole milliseconds. */
const STEPPED_MS = 2;

/** A place in a ring of those that wait equally long; one of nobody's is where a ring begins and ends. */
class Place {
  /** Its neighbours; itself: it is in no ring. */
  prev: Place = this;
  next: Place = this;
  atMs = 0;
}

/** Something that is due at a time. */
export abstract class Deadline extends Place {
  /** Its time has come. */
  abstract onDue(): void;
  /** The wall clock has moved: what is counted on it may be over. */
  abstract onClockStep(): void;
}

/**
 * Many things that are due some time, on one timer.
 *
 * Those that wait equally long are due in the order in which they began, so each length has a ring of its own, of which only
 * the first is looked at: beginning and ending is O(1), a hundred thousand times a second, and allocates nothing. (What
 * Node's own timers do, but for a timer object, a closure and a cancellation each.) The timer is not stopped
 * when nothing is left; it runs out.
 */
export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #rings = new Map<number, Place>();
  #cancel: CancelTimer | undefined;
  #timerAtMs = Infinity;
  /** How far the wall clock was ahead when everything was looked at. */
  #aheadMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#aheadMs = clock.wallMs() - clock.monoMs();
  }

  /** `entry` is due `inMs` after `now`, and at no other time. */
  set(entry: Deadline, inMs: number, now: number): void {
    this.unset(entry);
    const ms = Math.max(1, Math.ceil(inMs));
    let end = this.#rings.get(ms);
    if (end === undefined) this.#rings.set(ms, (end = new Place()));
    entry.atMs = now + ms;
    entry.prev = end.prev;
    entry.next = end;
    end.prev.next = entry;
    end.prev = entry;
    this.#arm(now, entry.atMs);
  }

  unset(entry: Deadline): void {
    entry.prev.next = entry.next;
    entry.next.prev = entry.prev;
    entry.prev = entry.next = entry;
  }

  stop(): void {
    this.#cancel?.();
    this.#timerAtMs = Infinity;
  }

  #arm(now: number, atMs: number): void {
    const timerAtMs = Math.min(atMs, now + LOOK_EVERY_MS);
    if (timerAtMs >= this.#timerAtMs) return;
    this.#cancel?.();
    this.#timerAtMs = timerAtMs;
    this.#cancel = this.#clock.timer(Math.max(1, timerAtMs - now), () => {
      this.#fire();
    });
  }

  #fire(): void {
    this.#timerAtMs = Infinity;
    const now = this.#clock.monoMs();
    const aheadMs = this.#clock.wallMs() - now;
    if (Math.abs(aheadMs - this.#aheadMs) > STEPPED_MS) {
      this.#aheadMs = aheadMs;
      for (const end of this.#rings.values()) for (const entry of entries(end)) entry.onClockStep();
    }
    let firstMs = Infinity;
    for (const [ms, end] of this.#rings) {
      for (let first = end.next; first instanceof Deadline && first.atMs <= now; first = end.next) {
        this.unset(first);
        first.onDue();
      }
      if (end.next === end) this.#rings.delete(ms);
      else firstMs = Math.min(firstMs, end.next.atMs);
    }
    if (firstMs < Infinity) this.#arm(now, firstMs);
  }
}

function entries(end: Place): Deadline[] {
  const found: Deadline[] = [];
  for (let entry = end.next; entry instanceof Deadline; entry = entry.next) found.push(entry);
  return found;
}
