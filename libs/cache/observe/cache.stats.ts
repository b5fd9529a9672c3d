import type { CacheAvailabilityStats } from './cache-availability.js';
import {
  channels,
  type CacheBypassedMessage,
  type CacheBypassReason,
  type CacheErrorMessage,
  type CacheMessage,
  type CacheHitMessage,
  type CacheTimedMessage,
} from './cache.channels.js';

/** What has been counted since this process started. Durations are sums, in milliseconds. */
export interface CacheCounts {
  /** Values found: in this process, in Redis, in Redis past their time. One per read of Redis, whoever joined it. */
  readonly hits: { readonly local: number; readonly redis: number; readonly stale: number };
  /** Reads that found no value, and loaded or waited. */
  readonly misses: number;
  /** Loaders run in this process, and how long they took. */
  readonly loads: number;
  readonly loadMs: number;
  /** Waits for loads of other processes, and how long they took. */
  readonly waits: number;
  readonly waitMs: number;
  /** Callers who joined a read that ran already in this process. */
  readonly coalesced: number;
  /** Loaded values that were not stored: invalidated meanwhile, or their lease was lost. */
  readonly voided: number;
  /** Stored values that could not be read. */
  readonly broken: number;
  /** Reads that ended with an error. */
  readonly errors: number;
  /**
   * Reads that Redis did not answer, by why: no connection, no reply in time, not asked because none came a moment ago, refused.
   * Such a read gets its value from its source, uncached, or does what `onBackendDown` says.
   */
  readonly bypassed: Readonly<Record<CacheBypassReason, number>>;
}

/** Answer of `CacheService.stats()`. */
export interface CacheStats {
  readonly total: CacheCounts;
  /** By `Class.method` of decorated methods, and by the name of the service's method for direct calls. */
  readonly methods: Readonly<Record<string, CacheCounts>>;
  /** The local tier's content, if there is one; bytes are estimated. */
  readonly local: { readonly entries: number; readonly bytes: number } | undefined;
  /** Whether Redis answers reads, and how often it stopped. */
  readonly availability: CacheAvailabilityStats;
}

/** Names of which counts are kept apart; the rest is counted as {@link OTHERS}. Code has fewer. */
const METHODS_MAX = 1_000;
const OTHERS = '(others)';

type Name = Exclude<keyof CacheCounts, 'hits' | 'bypassed'>;

const NAMES: readonly Name[] = [
  'misses',
  'loads',
  'loadMs',
  'waits',
  'waitMs',
  'coalesced',
  'voided',
  'broken',
  'errors',
];

/** Counts what happens on behalf of one method, and tells who listens. */
export class Meter {
  readonly #method: string;
  readonly #hits = { local: 0, redis: 0, stale: 0 };
  readonly #bypassed = { down: 0, timeout: 0, breaker: 0, refused: 0 };
  readonly #counts: Record<Name, number> = {
    misses: 0,
    loads: 0,
    loadMs: 0,
    waits: 0,
    waitMs: 0,
    coalesced: 0,
    voided: 0,
    broken: 0,
    errors: 0,
  };

  constructor(method: string) {
    this.#method = method;
  }

  hit(key: string, from: CacheHitMessage['from']): void {
    this.#hits[from]++;
    if (channels.hit.hasSubscribers) {
      channels.hit.publish({ key, method: this.#method, from } satisfies CacheHitMessage);
    }
  }

  miss(key: string): void {
    this.#counts.misses++;
    this.#tell('miss', key);
  }

  load(key: string, ms: number): void {
    this.#counts.loads++;
    this.#counts.loadMs += ms;
    this.#tell('load', key, { ms });
  }

  wait(key: string, ms: number): void {
    this.#counts.waits++;
    this.#counts.waitMs += ms;
    this.#tell('wait', key, { ms });
  }

  coalesced(key: string): void {
    this.#counts.coalesced++;
    this.#tell('coalesced', key);
  }

  voided(key: string): void {
    this.#counts.voided++;
    this.#tell('voided', key);
  }

  broken(key: string): void {
    this.#counts.broken++;
    this.#tell('broken', key);
  }

  error(key: string, error: unknown): void {
    this.#counts.errors++;
    this.#tell('error', key, { error });
  }

  bypassed(key: string, reason: CacheBypassReason): void {
    this.#bypassed[reason]++;
    if (channels.bypassed.hasSubscribers) {
      channels.bypassed.publish({ key, method: this.#method, reason } satisfies CacheBypassedMessage);
    }
  }

  read(): CacheCounts {
    return { hits: { ...this.#hits }, ...this.#counts, bypassed: { ...this.#bypassed } };
  }

  #tell(
    what: Exclude<keyof typeof channels, 'hit' | 'bypassed' | 'off' | 'back'>,
    key: string,
    more: Omit<CacheTimedMessage, keyof CacheMessage> | Omit<CacheErrorMessage, keyof CacheMessage> | object = {},
  ): void {
    const channel = channels[what];
    if (channel.hasSubscribers) channel.publish({ key, method: this.#method, ...more });
  }
}

/** The meters of one cache, by method. */
export class Meters {
  readonly #byMethod = new Map<string, Meter>();

  of(method: string): Meter {
    let meter = this.#byMethod.get(method);
    if (meter === undefined) {
      const name = this.#byMethod.size < METHODS_MAX ? method : OTHERS;
      meter = this.#byMethod.get(name) ?? new Meter(name);
      this.#byMethod.set(name, meter);
    }
    return meter;
  }

  read(): Pick<CacheStats, 'total' | 'methods'> {
    const methods = Object.fromEntries([...this.#byMethod].map(([method, meter]) => [method, meter.read()]));
    return { total: Object.values(methods).reduce(sum, new Meter('').read()), methods };
  }
}

function sum(one: CacheCounts, other: CacheCounts): CacheCounts {
  const hits = {
    local: one.hits.local + other.hits.local,
    redis: one.hits.redis + other.hits.redis,
    stale: one.hits.stale + other.hits.stale,
  };
  const counts = Object.fromEntries(NAMES.map((name) => [name, one[name] + other[name]])) as Record<Name, number>;
  const bypassed = {
    down: one.bypassed.down + other.bypassed.down,
    timeout: one.bypassed.timeout + other.bypassed.timeout,
    breaker: one.bypassed.breaker + other.bypassed.breaker,
    refused: one.bypassed.refused + other.bypassed.refused,
  };
  return { hits, ...counts, bypassed };
}
