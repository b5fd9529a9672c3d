import type { CacheKeys } from './cache.keys.js';
import type { SeenEntry } from './recently-seen.js';
import type { ServerClock } from './server-clock.js';
import { parseStored, type StoredValue } from './stored-value.js';

/** A value as one look at Redis found it. */
export interface FoundValue {
  readonly value: StoredValue | undefined;
  /** For how long it is fresh, at least, by the server's clock; not above 0 if it is not, or not of the epochs of now. */
  readonly leftMs: number;
}

/**
 * With so many keys a command is full: the server does nothing else while it answers one, and works on the next while what it
 * answered is being read.
 */
const KEYS_AT_ONCE = 64;

/** Or with so many characters, by what the values were last: the first of a reply is read when the last has arrived. */
const CHARS_AT_ONCE = 64 * 1024;

/** Sends `MGET`. */
type Read = (keys: readonly string[]) => Promise<(string | null)[]>;

/**
 * Looks at values whose tags are known from before: without a script, and without a promise to anybody. What they call fresh is;
 * about anything else, ask.
 *
 * All that are asked for in one turn of the event loop are one command, a handful if they are many. Each is taken at
 * one instant after its call, value and epochs together, which is all that a look of its own would be.
 */
export class GetBatcher {
  readonly #keys: CacheKeys;
  readonly #serverClock: ServerClock;
  readonly #read: Read;
  #open: GetBatch | undefined;

  constructor(keys: CacheKeys, serverClock: ServerClock, read: Read) {
    this.#keys = keys;
    this.#serverClock = serverClock;
    this.#read = read;
  }

  get(entry: string, hot: SeenEntry): Promise<FoundValue> {
    return new Promise((resolve, reject) => {
      const batch = (this.#open ??= this.#begin());
      batch.add(this.#keys.value(entry), hot, { resolve, reject });
      if (batch.full) this.#send(batch);
    });
  }

  #begin(): GetBatch {
    const batch = new GetBatch(this.#keys);
    // Once the promise jobs of this turn are done: whoever asks in it asks in this command.
    process.nextTick(() => {
      if (this.#open === batch) this.#send(batch);
    });
    return batch;
  }

  #send(batch: GetBatch): void {
    this.#open = undefined;
    this.#read(batch.keys).then(
      (replies) => {
        batch.answer(replies, this.#serverClock.latestMs());
      },
      (error: unknown) => {
        batch.fail(error);
      },
    );
  }
}

interface Caller {
  readonly resolve: (tryGet: FoundValue) => void;
  readonly reject: (error: unknown) => void;
}

/** Who asks, and at which place of the command what concerns them is. */
interface PendingGet extends Caller {
  readonly at: number;
  readonly tags: readonly string[];
  readonly tagsAt: readonly number[];
}

const NOWHERE: readonly number[] = [];

/** Looks that are one command. */
class GetBatch {
  /** The epoch of everything, and what the looks need besides, each tag once. */
  readonly keys: string[];
  readonly #tagPrefix: string;
  readonly #gets: PendingGet[] = [];
  #tagsAt: Map<string, number> | undefined;
  #chars = 0;

  constructor({ epoch, tagPrefix }: CacheKeys) {
    this.keys = [epoch];
    this.#tagPrefix = tagPrefix;
  }

  get full(): boolean {
    return this.keys.length >= KEYS_AT_ONCE || this.#chars >= CHARS_AT_ONCE;
  }

  add(key: string, { tags, chars }: SeenEntry, { resolve, reject }: Caller): void {
    this.#chars += chars;
    const at = this.keys.push(key) - 1;
    const tagsAt = tags.length === 0 ? NOWHERE : tags.map((tag) => this.#placeOf(tag));
    this.#gets.push({ at, tags, tagsAt, resolve, reject });
  }

  answer(replies: readonly (string | null)[], latestMs: number): void {
    for (const look of this.#gets) look.resolve(seen(look, replies, latestMs));
  }

  fail(error: unknown): void {
    for (const { reject } of this.#gets) reject(error);
  }

  #placeOf(tag: string): number {
    this.#tagsAt ??= new Map<string, number>();
    let at = this.#tagsAt.get(tag);
    if (at === undefined) this.#tagsAt.set(tag, (at = this.keys.push(this.#tagPrefix + tag) - 1));
    return at;
  }
}

function seen({ at, tags, tagsAt }: PendingGet, replies: readonly (string | null)[], latestMs: number): FoundValue {
  const value = parseStored(replies[at] ?? '');
  if (value === undefined) return { value, leftMs: -Infinity };
  const current =
    value.epoch === replies[0] &&
    value.tags.length === tags.length &&
    value.tags.every((tag, i) => tag === tags[i] && value.tagEpochs[i] === replies[tagsAt[i] ?? 0]);
  return { value, leftMs: current ? value.freshUntilMs - latestMs : -Infinity };
}
