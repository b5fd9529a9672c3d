import { debugLog, type Clock } from '../../redis/index.js';
import { channels, type LockMessage, type LockSkippedMessage } from './lock.channels.js';
import type { LockLostError, LockTimeoutError } from '../lock.errors.js';
import { LockTally } from './lock.stats.js';
import { StuckJobs, type LockLogger } from './stuck-jobs.js';
import type { LockHolder } from '../lock.inspection.js';

/** On with `NODE_DEBUG=sluice:lock`. */
const debug = debugLog('lock');

/** What happens to the locks of one service: counted, published on channels, and written to the debug log. */
export class LockEvents {
  readonly tally = new LockTally();
  readonly #logger: LockLogger;
  readonly #stuckJobs: StuckJobs;
  /** Locks that were reported as overdue, and are still held. */
  readonly #overdue = new Set<LockMessage>();

  constructor(clock: Clock, logger: LockLogger) {
    this.#logger = logger;
    this.#stuckJobs = new StuckJobs(clock, logger);
  }

  warn(message: string): void {
    this.#logger.warn(message);
  }

  /** The lock is held, or other calls wait for it, and this call joins its queue. */
  queued(name: string, nonce: string): void {
    this.tally.add(name, 'contended');
    debug?.("'%s' is held: %s waits in its queue", name, nonce);
  }

  /** The lock is held, or other calls wait for it, and this call does not wait. */
  busy(name: string, nonce: string): void {
    this.tally.add(name, 'contended');
    debug?.("'%s' is refused to %s: it is held, or others wait for it", name, nonce);
  }

  /** The release of another acquisition handed the lock to one of this process. `lock`: the key. */
  handedOver(lock: string, nonce: string, token: number): void {
    debug?.('%s was handed over to %s, token %d', lock, nonce, token);
  }

  /** Redis granted a lock, or a place in its queue, that no call waits for any more: it is released again. `lock`: the key. */
  unwanted(lock: string, nonce: string): void {
    debug?.('%s: what %s has there is released, because no call waits for it', lock, nonce);
  }

  acquired(lock: LockMessage, waitedMs: number): void {
    this.tally.acquired(lock.name, waitedMs);
    debug?.(
      "'%s' is granted to %s, token %d, after %d ms",
      lock.name,
      lock.owner,
      lock.fencingToken,
      Math.round(waitedMs),
    );
    if (channels.acquired.hasSubscribers) channels.acquired.publish({ ...about(lock), waitedMs });
  }

  released(lock: LockMessage, heldMs: number): void {
    this.tally.add(lock.name, 'heldMs', heldMs);
    this.#ended(lock, heldMs, 'released');
    debug?.("'%s' is released by %s after %d ms", lock.name, lock.owner, Math.round(heldMs));
    if (channels.released.hasSubscribers) channels.released.publish({ ...about(lock), heldMs });
  }

  lost(lock: LockMessage, heldMs: number, error: LockLostError): void {
    const { reason } = error;
    // No consumer will ever get this error.
    if (reason === 'abandoned') this.warn(error.message);
    this.tally.add(lock.name, 'heldMs', heldMs);
    this.tally.add(lock.name, 'lost');
    this.#ended(lock, heldMs, 'lost');
    debug?.("'%s' is lost by %s after %d ms: %s", lock.name, lock.owner, Math.round(heldMs), reason);
    if (channels.lost.hasSubscribers) channels.lost.publish({ ...about(lock), heldMs, reason });
  }

  heldTooLong(lock: LockMessage, maxHoldMs: number): void {
    this.tally.add(lock.name, 'overdue');
    this.#overdue.add(lock);
    this.warn(`lock '${lock.name}' is still held after ${maxHoldMs} ms (maxHoldMs)`);
    if (channels.overdue.hasSubscribers) channels.overdue.publish({ ...about(lock), maxHoldMs });
  }

  timedOut({ lock: name, waitedMs, holder, message }: LockTimeoutError): void {
    this.tally.add(name, 'timeouts');
    this.tally.add(name, 'waitedMs', waitedMs);
    debug?.('%s', message);
    if (channels.timeout.hasSubscribers) channels.timeout.publish({ name, waitedMs, holder });
  }

  /** A call of a scheduler did not run its method. */
  skipped(message: LockSkippedMessage): void {
    const { name, reason } = message;
    this.tally.add(name, 'skipped');
    debug?.("'%s': a call of %s is skipped: %s", name, message.method ?? 'oncePerTick', reason);
    if (reason === 'busy' && message.instant !== undefined) this.#stuckJobs.skipped(message);
    if (reason === 'done') this.#stuckJobs.ran(message);
    if (channels.skipped.hasSubscribers) channels.skipped.publish(message);
  }

  /** The run of a tick begins in this process. */
  ticked(name: string, method: string | undefined): void {
    this.#stuckJobs.ran({ name, method });
  }

  /** A release, or a request that Redis may have granted, failed: it is repeated. `lock`: the key. */
  releaseRetried(lock: string, nonce: string): void {
    debug?.('%s: the release by %s is repeated until Redis confirms it, or the lease is over', lock, nonce);
  }

  forced(name: string, holder: LockHolder): void {
    debug?.("'%s' is taken away from %s by forceRelease()", name, holder.owner);
    if (channels.forced.hasSubscribers) channels.forced.publish({ name, holder });
  }

  #ended(lock: LockMessage, heldMs: number, how: 'released' | 'lost'): void {
    if (this.#overdue.size === 0 || !this.#overdue.delete(lock)) return;
    this.#logger.log(`lock '${lock.name}', which was overdue, is ${how} after ${Math.round(heldMs)} ms`);
  }
}

function about({ name, owner, fencingToken }: LockMessage): LockMessage {
  return { name, owner, fencingToken };
}
