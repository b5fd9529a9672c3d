import { LRUCache } from 'lru-cache';
import { BriefMap, type Clock, type Inbox, type Instant } from '../../redis/index.js';
import type { CacheStore } from '../store/cache.store.js';
import { CloneableValue } from './cloneable-value.js';
import { unpack } from '../store/compression.js';
import { detached, type StoredValue } from '../store/stored-value.js';

/** How much a process keeps. */
export interface LocalLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

export interface LocalTierOptions {
  readonly inbox: Pick<Inbox, 'on' | 'onResync' | 'join' | 'proveEvery' | 'proven'>;
  /** Where invalidations are announced. */
  readonly channel: string;
  readonly clock: Clock;
  readonly limits: LocalLimits;
  /** Has whoever asks told of changes that nobody announces, if that is wanted. */
  readonly track?: CacheStore['track'] | undefined;
  /** Hears of invalidated tags; without any: of an invalidation of everything. */
  readonly onGone?: (tags?: readonly string[]) => void;
}

/**
 * How long after an invalidation was acknowledged a copy may still be served. What the subscriber's socket has answered
 * proves that all earlier announcements were handled; an answer to what was sent within this makes a copy good.
 */
const BOUND_MS = 1_000;

/** The socket is asked three times within the bound: one late answer does not close the tier. */
const PROVE_EVERY_MS = 300;

/** Bytes of what surrounds an entry: the maps' slots, the objects. */
const ENTRY_BYTES = 200;

/** Bytes of what surrounds a tag of an entry. */
const TAG_BYTES = 100;

/** What Redis answered, and how much longer it is fresh. */
export interface Kept {
  readonly value: Pick<StoredValue, 'text' | 'tags'>;
  readonly leftMs: number;
}

interface LocalEntry {
  readonly copy: CloneableValue;
  readonly until: Instant;
  /** When Redis, or the source, was asked for it. */
  readonly asked: Instant;
  readonly tags: readonly string[];
  readonly bytes: number;
}

/**
 * Copies of values in this process, answered without a round trip.
 *
 * A copy never outlives what was left of its entry's time when Redis was asked. It goes when its key, one of its tags, or
 * everything is announced to be gone; all go when an announcement may have been missed: its number does not follow the last one,
 * or the subscription is a new one. While the socket has not proven to be alive within {@link BOUND_MS}, nothing is answered.
 *
 * @see docs/internals/cache.md#the-local-tier
 */
export class LocalTier {
  readonly #entries: LRUCache<string, LocalEntry>;
  readonly #tagged = new Map<string, Set<string>>();
  /** By key: questions on the way to Redis, whose answers may be older than an announcement that came meanwhile. */
  readonly #watches = new BriefMap<string, Watch>();
  /** The sockets that must be alive. */
  readonly #proofs: readonly Pick<Inbox, 'proven' | 'proveEvery'>[];
  #proving = false;
  readonly #clock: Clock;
  readonly #onGone: LocalTierOptions['onGone'];
  /** Counts what concerns answers of all keys. */
  #era = 0;
  /** The last announcement's number; undefined after a subscription. */
  #number: number | undefined;

  constructor({ inbox, channel, clock, limits, track, onGone }: LocalTierOptions) {
    this.#clock = clock;
    this.#onGone = onGone;
    this.#entries = new LRUCache({
      max: limits.maxEntries,
      maxSize: limits.maxBytes,
      sizeCalculation: ({ bytes }) => bytes,
      dispose: ({ tags }, key) => {
        this.#untag(key, tags);
      },
    });
    inbox.on('cache:invalidated', ([number, what, ...names]) => {
      this.#hear(Number(number), what, names);
    });
    inbox.onResync(() => {
      this.#number = undefined;
      this.clear();
    });
    inbox.join(channel);
    this.#proofs = track ? [inbox, this.#track(track)] : [inbox];
  }

  /** What is kept, at the moment. */
  get size(): { entries: number; bytes: number } {
    return { entries: this.#entries.size, bytes: this.#entries.calculatedSize };
  }

  read(key: string): CloneableValue | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const monoMs = this.#clock.monoMs();
    const wallMs = this.#clock.wallMs();
    const { until } = entry;
    if (monoMs >= until.monoMs || wallMs >= until.wallMs) {
      this.#entries.delete(key);
      return undefined;
    }
    for (const { proven } of this.#proofs) {
      if (monoMs - proven.monoMs >= BOUND_MS || wallMs - proven.wallMs >= BOUND_MS) return undefined;
    }
    return entry.copy;
  }

  /** While Redis is away: a copy that is not past its time and at most so old, though it may have been invalidated elsewhere. */
  readInOutage(key: string, maxAgeMs: number): CloneableValue | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const { monoMs, wallMs } = this.now();
    const { until, asked, copy } = entry;
    const fresh = monoMs < until.monoMs && wallMs < until.wallMs;
    return fresh && monoMs - asked.monoMs <= maxAgeMs && wallMs - asked.wallMs <= maxAgeMs ? copy : undefined;
  }

  /**
   * Has Redis asked, and keeps what it answers. The time that is left counts from before the question.
   *
   * @param found what of the answer is worth keeping, if anything
   */
  async keeping<T>(key: string, ask: () => Promise<T>, found: (answer: T) => Kept | undefined): Promise<T> {
    const watch = this.watch(key);
    const asked = this.now();
    try {
      const answer = await ask();
      const kept = found(answer);
      if (kept) this.keep(watch, asked, kept);
      return answer;
    } finally {
      this.unwatch(watch);
    }
  }

  /** To be called before Redis is asked for a key; what it answers is kept with the watch's help. */
  watch(key: string): Watch {
    let watch = this.#watches.get(key);
    if (watch?.era !== this.#era) this.#watches.set(key, (watch = new Watch(key, this.#era)));
    watch.users++;
    return watch;
  }

  /** Ends a watch. */
  unwatch(watch: Watch): void {
    if (--watch.users === 0 && this.#watches.get(watch.key) === watch) this.#watches.delete(watch.key);
  }

  /** The instant from which an answer's remaining time counts: that of the question, which came before it. */
  now(): Instant {
    return { monoMs: this.#clock.monoMs(), wallMs: this.#clock.wallMs() };
  }

  /**
   * Keeps what Redis answered to a question that was asked at `asked` under this watch, unless it may be older than an
   * invalidation that was announced since.
   */
  keep(watch: Watch, asked: Instant, { value, leftMs }: Kept): void {
    if (watch.voided || watch.era !== this.#era || leftMs <= 0) return;
    this.#startProving();
    const tags = detached(value.tags);
    const text = unpacked(value.text);
    if (text === undefined) return;
    const { key } = watch;
    const until = { monoMs: asked.monoMs + leftMs, wallMs: asked.wallMs + leftMs };
    const bytes = ENTRY_BYTES + 2 * (text.length + key.length) + tags.reduce(tagBytes, 0);
    this.#entries.set(key, { copy: new CloneableValue(text), until, asked, tags, bytes });
    // What is larger than all may be is not kept, and must leave no trace.
    if (this.#entries.has(key)) for (const tag of tags) this.#tag(tag, key);
  }

  /** Nothing that was asked for before is served or kept from now on. */
  drop(key: string): void {
    this.#entries.delete(key);
    const watch = this.#watches.get(key);
    if (watch === undefined) return;
    watch.voided = true;
    this.#watches.delete(key);
  }

  dropTag(tag: string): void {
    // An answer on its way may have any tag.
    this.#era++;
    for (const key of [...(this.#tagged.get(tag) ?? [])]) this.#entries.delete(key);
  }

  clear(): void {
    this.#era++;
    this.#entries.clear();
  }

  /** An app that caches nothing is not kept busy. */
  #startProving(): void {
    if (this.#proving) return;
    this.#proving = true;
    for (const socket of this.#proofs) socket.proveEvery(PROVE_EVERY_MS);
  }

  #track(track: CacheStore['track']): Pick<Inbox, 'proven' | 'proveEvery'> {
    const tracker = track((keys) => {
      if (keys === undefined) this.clear();
      else for (const key of keys) this.drop(key);
    });
    tracker.onResync(() => {
      this.clear();
    });
    return tracker;
  }

  #hear(number: number, what: string | undefined, names: string[]): void {
    const missed = !Number.isInteger(number) || (this.#number !== undefined && number !== this.#number + 1);
    this.#number = Number.isInteger(number) ? number : undefined;
    if (missed) this.clear();
    else if (what === 'key') for (const name of names) this.drop(name);
    else if (what === 'tag') for (const name of names) this.dropTag(name);
    else this.clear();
    if (what === 'tag') this.#onGone?.(names);
    else if (what === 'all') this.#onGone?.();
  }

  #tag(tag: string, key: string): void {
    const keys = this.#tagged.get(tag);
    if (keys) keys.add(key);
    else this.#tagged.set(tag, new Set([key]));
  }

  #untag(key: string, tags: readonly string[]): void {
    for (const tag of tags) {
      const keys = this.#tagged.get(tag);
      if (keys?.delete(key) && keys.size === 0) this.#tagged.delete(tag);
    }
  }
}

/** Questions for one key that are on the way to Redis. */
export class Watch {
  users = 0;
  /** The key was invalidated meanwhile. */
  voided = false;

  constructor(
    readonly key: string,
    readonly era: number,
  ) {}
}

/** As the copy will keep it: a packed text says nothing about its size in memory. `undefined`: it cannot be read. */
function unpacked(text: string): string | undefined {
  try {
    return unpack(text);
  } catch {
    return undefined;
  }
}

function tagBytes(sum: number, tag: string): number {
  return sum + TAG_BYTES + tag.length;
}
