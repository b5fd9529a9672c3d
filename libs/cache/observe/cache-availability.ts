import { isUnavailable, isReplyError, Transition, type Clock } from '../../redis/index.js';
import { CircuitOpenError } from '../store/circuit-breaker.js';
import { channels, type CacheBackMessage, type CacheBypassReason, type CacheOffMessage } from './cache.channels.js';

/** What the cache went through in this process since it started: part of `CacheService.stats()`. */
export interface CacheAvailabilityStats {
  /** Reads go around the cache at the moment: Redis does not answer, or refuses. */
  readonly off: boolean;
  /** How often Redis stopped answering reads. */
  readonly outages: number;
  /** How often Redis began to refuse reads. */
  readonly refusals: number;
}

export interface CacheAvailabilityOptions {
  clock: Clock;
  warn: (message: string) => void;
  note: (message: string) => void;
}

/** A Redis that answers, and left no read unanswered for so long, is back: one that is overloaded answers now and then. */
const BACK_AFTER_MS = 1_000;

/** The same for refusals: a server that is full still answers hits. */
const ACCEPTING_AFTER_MS = 5_000;

/** One kind of trouble, and when it was seen last. */
class Trouble {
  readonly transition: Transition<CacheOffMessage>;
  readonly #clock: Clock;
  readonly #quietMs: number;
  #lastMs = 0;

  constructor(clock: Clock, quietMs: number, began: (off: CacheOffMessage) => void, ended: (back: Ended) => void) {
    this.#clock = clock;
    this.#quietMs = quietMs;
    this.transition = new Transition<CacheOffMessage>({
      clock,
      began,
      ended: (ms, reads) => {
        ended({ ms: Math.max(0, ms - (clock.monoMs() - this.#lastMs)), reads });
      },
    });
  }

  seen(off: CacheOffMessage): void {
    this.#lastMs = this.#clock.monoMs();
    this.transition.begin(off);
  }

  answered(): void {
    if (this.transition.active && this.#clock.monoMs() - this.#lastMs >= this.#quietMs) this.transition.end();
  }
}

type Ended = Omit<CacheBackMessage, 'reason'>;

/**
 * Tells the user that the cache is off, and that it is back: once per change, a line in the log, a message on a channel, a count.
 * Without that, an app whose cache never caches looks like one with a slow database.
 */
export class CacheAvailability {
  readonly #outage: Trouble;
  readonly #refusal: Trouble;
  #closed = false;

  constructor({ clock, warn, note }: CacheAvailabilityOptions) {
    this.#outage = new Trouble(
      clock,
      BACK_AFTER_MS,
      (off) => {
        warn(`the cache is off: reads go to their sources, uncached, until Redis answers again. ${textOf(off.error)}`);
        publishOff(off);
      },
      (back) => {
        note(`the cache is back: for ${seconds(back.ms)}, ${back.reads} reads were not answered by Redis`);
        publishBack({ reason: 'down', ...back });
      },
    );
    this.#refusal = new Trouble(
      clock,
      ACCEPTING_AFTER_MS,
      (off) => {
        warn(`Redis refuses reads of the cache, which go to their sources, uncached. ${textOf(off.error)}`);
        publishOff(off);
      },
      (back) => {
        note(`Redis no longer refuses reads of the cache: for ${seconds(back.ms)}, it refused ${back.reads}`);
        publishBack({ reason: 'refused', ...back });
      },
    );
  }

  get stats(): CacheAvailabilityStats {
    const { transition: outage } = this.#outage;
    const { transition: refusal } = this.#refusal;
    return { off: outage.active || refusal.active, outages: outage.count, refusals: refusal.count };
  }

  /** Redis did not answer a read, or refused it. Says why. */
  bypassed(error: unknown): CacheBypassReason {
    const reason = reasonOf(error);
    if (!this.#closed) (reason === 'refused' ? this.#refusal : this.#outage).seen({ reason, error });
    return reason;
  }

  /** Redis answered a read. Called for each: it costs two comparisons while all is well. */
  answered(): void {
    this.#outage.answered();
    this.#refusal.answered();
  }

  /** The app goes down: nothing is told any more. */
  close(): void {
    this.#closed = true;
  }
}

function reasonOf(error: unknown): CacheBypassReason {
  if (isReplyError(error, '')) return 'refused';
  if (error instanceof CircuitOpenError) return 'breaker';
  return isUnavailable(error) && error.outcome === 'not-sent' ? 'down' : 'timeout';
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function publishOff(message: CacheOffMessage): void {
  if (channels.off.hasSubscribers) channels.off.publish(message);
}

function publishBack(message: CacheBackMessage): void {
  if (channels.back.hasSubscribers) channels.back.publish(message);
}
