import { isUnavailable, type Clock, type RedisConnection } from '../../redis/index.js';
import type { CacheKeys } from './cache.keys.js';
import { ReleaseRetries } from './release-retries.js';
import type { Answer } from './scripts/ask.script.js';
import { leaveSlotScript } from './scripts/leave-slot.script.js';
import { releaseScript } from './scripts/release.script.js';

/** The parts of a question that name the lease or slot that it may have been granted. */
interface Asked {
  readonly token: string;
  readonly source: string;
  readonly limit: number;
  readonly retryForSlot: boolean;
}

/**
 * Gives back what requests of this process hold in Redis: leases, slots at sources, and places in the queues for slots.
 *
 * @see docs/internals/cache.md#releasing-what-nobody-uses
 */
export class LeaseReleases {
  readonly #connection: RedisConnection;
  readonly #keys: CacheKeys;
  readonly #deadlineMs: number;
  readonly #releaseRetries: ReleaseRetries;

  constructor(
    connection: RedisConnection,
    keys: CacheKeys,
    { readTimeoutMs, leaseMs }: { readTimeoutMs: number; leaseMs: number },
    clock: Clock,
  ) {
    this.#connection = connection;
    this.#keys = keys;
    this.#deadlineMs = readTimeoutMs;
    this.#releaseRetries = new ReleaseRetries(clock, leaseMs);
    connection.commands.onUp(() => void this.#releaseRetries.retry());
  }

  /**
   * Gives a lease back. Rejects if Redis does not confirm the release, which is then repeated in the background, see
   * {@link ReleaseRetries}.
   */
  release(entry: string, token: string): Promise<boolean> {
    return this.#releaseRetries.now(leaseOf(token), (late) => this.#release(entry, token, late));
  }

  /** Gives back a slot, or the place in the queue for a slot. Repeated in the background as {@link release} is. */
  leaveSlot(source: string, token: string, limit: number): Promise<void> {
    return this.#releaseRetries.now(slotOf(token), (late) => this.#leaveSlot(source, token, limit, late));
  }

  /** The reader has gone on without an answer. Nobody uses the lease or slot that its question may have been granted. */
  unanswered(entry: string, { token, source, limit, retryForSlot }: Asked, error: unknown): void {
    if (isUnavailable(error) && error.outcome === 'unknown') {
      this.#releaseRetries.later(leaseOf(token), (late) => this.#release(entry, token, late), error);
      if (limit > 0) {
        this.#releaseRetries.later(slotOf(token), (late) => this.#leaveSlot(source, token, limit, late), error);
      }
    } else if (retryForSlot) {
      // The question before this one was queued.
      void this.leaveSlot(source, token, limit).catch(() => {});
    }
  }

  /** The answer came too late. Nobody uses the lease or slot that it grants. */
  answeredLate(entry: string, { token, source, limit }: Asked, answer: Answer): void {
    const granted = answer.kind === 'load' || ('then' in answer && answer.then === 'load');
    if (granted) void this.release(entry, token).catch(() => {});
    else this.#releaseRetries.settle(leaseOf(token));
    if (limit > 0 && (granted || answer.kind === 'full')) void this.leaveSlot(source, token, limit).catch(() => {});
    else this.#releaseRetries.settle(slotOf(token));
  }

  #release(entry: string, token: string, late: () => void): Promise<boolean> {
    const call = { keys: { lease: this.#keys.lease(entry) }, args: { token } };
    return releaseScript.run(this.#connection.commands, call, { deadlineMs: this.#deadlineMs, late });
  }

  #leaveSlot(source: string, token: string, limit: number, late: () => void): Promise<void> {
    const keys = { slots: this.#keys.slots(source), queue: this.#keys.queue(source) };
    const args = { token, inbox: this.#connection.inbox.channel, limit };
    return leaveSlotScript.run(this.#connection.commands, { keys, args }, { deadlineMs: this.#deadlineMs, late });
  }
}

/** The names under which a request's lease and its slot are given back. */
const leaseOf = (token: string): string => `lease ${token}`;
const slotOf = (token: string): string => `slot ${token}`;
