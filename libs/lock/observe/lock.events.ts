import { channels, type LockMessage } from './lock.channels.js';
import type { LockLostError, LockTimeoutError } from '../lock.errors.js';
import { LockTally } from './lock.stats.js';
import type { LockHolder } from '../lock.inspection.js';

/** What happens to the locks of one service: counted, and told to whoever listens. */
export class LockEvents {
  readonly tally = new LockTally();
  readonly #warn: (message: string) => void;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** Found it held, or others waiting. */
  contended(name: string): void {
    this.tally.add(name, 'contended');
  }

  acquired(lock: LockMessage, waitedMs: number): void {
    this.tally.acquired(lock.name, waitedMs);
    if (channels.acquired.hasSubscribers) channels.acquired.publish({ ...about(lock), waitedMs });
  }

  released(lock: LockMessage, heldMs: number): void {
    this.tally.add(lock.name, 'heldMs', heldMs);
    if (channels.released.hasSubscribers) channels.released.publish({ ...about(lock), heldMs });
  }

  lost(lock: LockMessage, heldMs: number, { reason }: LockLostError): void {
    this.tally.add(lock.name, 'heldMs', heldMs);
    this.tally.add(lock.name, 'lost');
    if (channels.lost.hasSubscribers) channels.lost.publish({ ...about(lock), heldMs, reason });
  }

  heldTooLong(lock: LockMessage, maxHoldMs: number): void {
    this.#warn(`lock '${lock.name}' is still held after ${maxHoldMs} ms (maxHoldMs)`);
    if (channels.overdue.hasSubscribers) channels.overdue.publish({ ...about(lock), maxHoldMs });
  }

  timedOut({ lock: name, waitedMs, holder }: LockTimeoutError): void {
    this.tally.add(name, 'timeouts');
    this.tally.add(name, 'waitedMs', waitedMs);
    if (channels.timeout.hasSubscribers) channels.timeout.publish({ name, waitedMs, holder });
  }

  forced(name: string, holder: LockHolder): void {
    if (channels.forced.hasSubscribers) channels.forced.publish({ name, holder });
  }
}

function about({ name, owner, fencingToken }: LockMessage): LockMessage {
  return { name, owner, fencingToken };
}
