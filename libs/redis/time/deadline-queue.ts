import { Ring, RingNode } from '../collections/ring.js';
import type { CancelTimer, Clock } from './clock.js';

/** Both clocks are read at least this often, in milliseconds, because a timer stands still while the machine is suspended. */
const LOOK_EVERY_MS = 1_000;
/**
 * If the difference of the clocks has changed by more than this, in milliseconds, the wall clock was set. A smaller change may
 * only mean that the wall clock was read a little later than the other clock, and that it counts whole milliseconds.
 */
const STEPPED_MS = 2;

/** Something that is due at a time. */
export abstract class Deadline extends RingNode {
  /** When the deadline is due, on the monotonic clock. The queue sets this time. */
  atMs = 0;
  /** Called when the deadline is due. */
  abstract onDue(): void;
  /** Called when the wall clock was set: a time that is counted on it may be over. */
  abstract onClockStep(): void;
}

/**
 * Many deadlines on one timer.
 *
 * Deadlines of one length are due in the order in which they were set. So each length has a ring of its own, of which only
 * the first is looked at: setting and unsetting is O(1), a hundred thousand times a second, and allocates nothing. (Node's
 * own timers do the same, but with a timer object, a closure and a cancellation each.) The timer is not stopped when no
 * deadline is left; it runs out.
 */
export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #rings = new Map<number, Ring<Deadline>>();
  #cancel: CancelTimer | undefined;
  #timerAtMs = Infinity;
  /** How far the wall clock was ahead of the monotonic clock at the start, or after its last step. */
  #aheadMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#aheadMs = clock.wallMs() - clock.monoMs();
  }

  /** `entry` is due `inMs` after `now`, and at no other time. */
  set(entry: Deadline, inMs: number, now: number): void {
    entry.unlink();
    const ms = Math.max(1, Math.ceil(inMs));
    let ring = this.#rings.get(ms);
    if (ring === undefined) this.#rings.set(ms, (ring = new Ring()));
    entry.atMs = now + ms;
    ring.push(entry);
    this.#arm(now, entry.atMs);
  }

  unset(entry: Deadline): void {
    entry.unlink();
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
      for (const ring of this.#rings.values()) for (const entry of ring.elements()) entry.onClockStep();
    }
    let firstMs = Infinity;
    for (const [ms, ring] of this.#rings) {
      let first = ring.first;
      for (; first !== undefined && first.atMs <= now; first = ring.first) {
        first.unlink();
        first.onDue();
      }
      if (first === undefined) this.#rings.delete(ms);
      else firstMs = Math.min(firstMs, first.atMs);
    }
    if (firstMs < Infinity) this.#arm(now, firstMs);
  }
}
