import { LRUCache } from 'lru-cache';
import { BriefMap, type Clock, type Inbox, type Instant } from '../../redis/index.js';
import type { CacheStore } from '../store/cache.store.js';
import { CloneableValue } from './cloneable-value.js';
import { DroppedTags } from './dropped-tags.js';
import { unpack } from '../store/compression.js';
import { detached, type StoredValue } from '../store/stored-value.js';

/** How much the local tier of a process keeps. */
export interface LocalLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

export interface LocalTierOptions {
  readonly inbox: Pick<Inbox, 'on' | 'onResync' | 'join' | 'proveFor' | 'proven'>;
  /** The channel of the announcements of invalidations. */
  readonly channel: string;
  /** The key of the counter of these announcements. */
  readonly sequence: string;
  readonly clock: Clock;
  readonly limits: LocalLimits;
  /** Subscribes to Redis' own messages about changed keys: other clients announce nothing. Undefined: client tracking is off. */
  readonly track?: CacheStore['track'] | undefined;
  /** Called with tags that were invalidated; without tags when everything was invalidated. */
  readonly onGone?: (tags?: ReadonlySet<string>) => void;
}

/**
 * For how long after an acknowledged invalidation a copy may still be served. A proof of the inbox that was heard shows that all
 * earlier announcements were handled. A copy is served only if a proof of the last 1,000 ms was heard.
 */
const BOUND_MS = 1_000;

/** Three proofs are sent within the bound, so that one that is late does not stop the tier. */
const PROVE_EVERY_MS = 300;

/** Bytes that an entry needs beside its text and key: slots of maps, objects. */
const ENTRY_BYTES = 200;

/** Bytes that a tag of an entry needs beside its text. */
const TAG_BYTES = 100;

/** A value that Redis answered, and for how much longer it is fresh. */
export interface Kept {
  readonly value: Pick<StoredValue, 'text' | 'tags'>;
  readonly leftMs: number;
}

interface LocalEntry {
  readonly copy: CloneableValue;
  readonly until: Instant;
  /** When Redis, or the source, was asked for the value. */
  readonly asked: Instant;
  readonly tags: readonly string[];
  readonly bytes: number;
}

/**
 * Copies of values in this process, answered without a round trip.
 *
 * - A copy lives no longer than its entry had left when Redis was asked.
 * - A copy is removed when an announcement says that its key, one of its tags, or everything was invalidated.
 * - All copies are removed when an announcement may have been missed: its number does not follow the last one, a proof tells
 *   another number than the last one, or the subscription is a new one.
 * - No copy is served while it has not been proven within {@link BOUND_MS} that announcements arrive.
 *
 * @see docs/internals/cache.md#the-local-tier
 */
export class LocalTier {
  readonly #entries: LRUCache<string, LocalEntry>;
  readonly #tagged = new Map<string, Set<string>>();
  /** By key: questions that Redis has not answered yet. The answer may be older than an announcement that came meanwhile. */
  readonly #watches = new BriefMap<string, Watch>();
  /** The subscriptions that must be proven to deliver. */
  readonly #proofs: readonly Pick<Inbox, 'proven' | 'proveFor'>[];
  readonly #droppedTags = new DroppedTags();
  /** To be called when the tier keeps a copy after it had none. */
  readonly #startProving: (() => void)[];
  /** Until when a copy may be fresh. */
  #freshUntilMs = -Infinity;
  readonly #clock: Clock;
  readonly #onGone: LocalTierOptions['onGone'];
  /** Counts what makes every answer that is on its way too old: a clear, a gap, too many tags at once. */
  #era = 0;
  /** The number of the last announcement. Undefined after a subscription. */
  #number: number | undefined;

  constructor({ inbox, channel, sequence, clock, limits, track, onGone }: LocalTierOptions) {
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
    const isNeeded = (): boolean => this.#holdsCopies;
    const heard = (number: string): void => {
      this.#hearNumber(Number(number));
    };
    // The announcements come to the inbox. What was tracked is not counted.
    this.#startProving = this.#proofs.map((proof) =>
      proof.proveFor({
        everyMs: PROVE_EVERY_MS,
        isNeeded,
        ...(proof === inbox && { counter: { key: sequence, heard } }),
      }),
    );
  }

  /** How much the tier holds now. */
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

  /**
   * The copy to serve while Redis cannot be reached: not expired, and at most `maxAgeMs` old. Another process may have
   * invalidated it.
   */
  readInOutage(key: string, maxAgeMs: number): CloneableValue | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const { monoMs, wallMs } = this.now();
    const { until, asked, copy } = entry;
    const fresh = monoMs < until.monoMs && wallMs < until.wallMs;
    return fresh && monoMs - asked.monoMs <= maxAgeMs && wallMs - asked.wallMs <= maxAgeMs ? copy : undefined;
  }

  /**
   * Calls `ask`, and keeps the value that Redis answered. The remaining time counts from before the question.
   *
   * @param found picks the value to keep from the answer; undefined keeps nothing
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

  /** Call before Redis is asked for a key. {@link keep} takes the watch, and {@link unwatch} ends it. */
  watch(key: string): Watch {
    let watch = this.#watches.get(key);
    if (watch?.era !== this.#era) {
      watch = new Watch(key, this.#era, this.#droppedTags.count);
      this.#watches.set(key, watch);
    }
    watch.users++;
    return watch;
  }

  /** Ends a watch. */
  unwatch(watch: Watch): void {
    if (--watch.users === 0 && this.#watches.get(watch.key) === watch) this.#watches.delete(watch.key);
  }

  /** The present instant. The remaining time of an answer counts from the instant before its question. */
  now(): Instant {
    return { monoMs: this.#clock.monoMs(), wallMs: this.#clock.wallMs() };
  }

  /**
   * Keeps the answer to a question that was asked at `asked` under this watch. An answer that may be older than an invalidation
   * announced since then is not kept.
   */
  keep(watch: Watch, asked: Instant, { value, leftMs }: Kept): void {
    if (watch.voided || watch.era !== this.#era || leftMs <= 0) return;
    if (this.#droppedTags.any(value.tags, watch.drops)) return;
    const tags = detached(value.tags);
    const text = unpacked(value.text);
    if (text === undefined) return;
    const { key } = watch;
    const until = { monoMs: asked.monoMs + leftMs, wallMs: asked.wallMs + leftMs };
    const heldCopies = this.#holdsCopies;
    const bytes = ENTRY_BYTES + 2 * (text.length + key.length) + tags.reduce(tagBytes, 0);
    this.#entries.set(key, { copy: new CloneableValue(text), until, asked, tags, bytes });
    // An entry larger than `maxBytes` is not kept. It must not leave its tags behind.
    if (!this.#entries.has(key)) return;
    for (const tag of tags) this.#tag(tag, key);
    this.#freshUntilMs = Math.max(this.#freshUntilMs, until.monoMs);
    if (!heldCopies) for (const start of this.#startProving) start();
  }

  /** Removes the copy. An answer to a question that was asked before is not kept either. */
  drop(key: string): void {
    this.#entries.delete(key);
    const watch = this.#watches.get(key);
    if (watch === undefined) return;
    watch.voided = true;
    this.#watches.delete(key);
  }

  dropTag(tag: string): void {
    // For the answers that have not arrived yet.
    if (!this.#droppedTags.add(tag)) this.#era++;
    for (const key of [...(this.#tagged.get(tag) ?? [])]) this.#entries.delete(key);
  }

  clear(): void {
    this.#era++;
    this.#entries.clear();
  }

  /** Whether a copy may be fresh. An app that caches nothing sends no more proofs than others. */
  get #holdsCopies(): boolean {
    return this.#entries.size > 0 && this.#clock.monoMs() < this.#freshUntilMs;
  }

  #track(track: CacheStore['track']): Pick<Inbox, 'proven' | 'proveFor'> {
    const tracker = track((keys) => {
      if (keys === undefined) this.clear();
      else for (const key of keys) this.drop(key);
    });
    tracker.onResync(() => {
      this.clear();
    });
    return tracker;
  }

  /** A proof tells the number of the last announcement before it, which must have arrived. */
  #hearNumber(number: number): void {
    if (this.#number !== undefined && this.#number !== number) this.clear();
    this.#number = number;
  }

  #hear(number: number, what: string | undefined, names: string[]): void {
    const missed = !Number.isInteger(number) || (this.#number !== undefined && number !== this.#number + 1);
    this.#number = Number.isInteger(number) ? number : undefined;
    if (missed) this.clear();
    else if (what === 'key') for (const name of names) this.drop(name);
    else if (what === 'tag') for (const name of names) this.dropTag(name);
    else this.clear();
    if (what === 'tag') this.#onGone?.(new Set(names));
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

/** The questions for one key that Redis has not answered yet. */
export class Watch {
  users = 0;
  /** The key was invalidated meanwhile. */
  voided = false;

  constructor(
    readonly key: string,
    readonly era: number,
    /** How many tags had been invalidated when the question was asked. */
    readonly drops: number,
  ) {}
}

/** The unpacked text: the size of a packed text says nothing about its size in memory. `undefined` if it cannot be read. */
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
