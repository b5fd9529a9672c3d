import type { RedisConnection, SendOptions } from '../../redis/index.js';
import type { CacheKeys } from './cache.keys.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import type { SeenEntry } from './recently-seen.js';
import type { ServerClock } from './server-clock.js';
import { parseStored, type StoredValue } from './stored-value.js';

/** A value as one `MGET` found it. */
export interface FoundValue {
  readonly value: StoredValue | undefined;
  /** How long the value is fresh at least, by the server's clock. Not above 0: not fresh, or not of the current epochs. */
  readonly leftMs: number;
}

/**
 * This many keys fill a command. The server does nothing else while it answers a command, and this process reads one reply while
 * the server works on the next.
 */
const KEYS_AT_ONCE = 64;

/**
 * This many characters fill a command too, by the lengths that the values last had. The first value of a reply can be read only
 * when the last value has arrived.
 */
const CHARS_AT_ONCE = 64 * 1024;

export interface GetBatcherOptions {
  readonly connection: RedisConnection;
  readonly keys: CacheKeys;
  readonly breaker: CircuitBreaker;
  readonly serverClock: ServerClock;
  /** How long a reader waits for the reply. */
  readonly deadlineMs: number;
}

/**
 * Reads values whose tags are known from before, with `MGET` instead of a script. A value that is reported as fresh is fresh.
 * Any other result decides nothing: the caller then asks with the ask script.
 *
 * All reads of one turn of the event loop are one command, or a few commands if there are many reads. Redis takes the value and
 * the epochs of each read at one instant after the call, as it would for a command of that read alone.
 *
 * @see docs/internals/cache.md#reading
 */
export class GetBatcher {
  readonly #connection: RedisConnection;
  readonly #keys: CacheKeys;
  readonly #breaker: CircuitBreaker;
  readonly #serverClock: ServerClock;
  readonly #sendOptions: SendOptions;
  #open: GetBatch | undefined;

  constructor({ connection, keys, breaker, serverClock, deadlineMs }: GetBatcherOptions) {
    this.#connection = connection;
    this.#keys = keys;
    this.#breaker = breaker;
    this.#serverClock = serverClock;
    const late = (): void => {
      breaker.close();
    };
    this.#sendOptions = { deadlineMs, whileSilent: true, late };
  }

  /** @throws RedisUnavailableError when the circuit is open */
  tryGet(entry: string, seen: SeenEntry): Promise<FoundValue> {
    this.#breaker.admit();
    return new Promise((resolve, reject) => {
      const batch = (this.#open ??= this.#begin());
      batch.add(this.#keys.value(entry), seen, { resolve, reject });
      if (batch.full) this.#send(batch);
    });
  }

  #begin(): GetBatch {
    const batch = new GetBatch(this.#keys);
    // This runs once the promise jobs of this turn are done, so that all reads of the turn are in this command.
    process.nextTick(() => {
      if (this.#open === batch) this.#send(batch);
    });
    return batch;
  }

  #send(batch: GetBatch): void {
    this.#open = undefined;
    const sent = this.#connection.commands.send<(string | null)[]>('mget', batch.keys, this.#sendOptions);
    this.#breaker.watch(sent).then(
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
  readonly resolve: (found: FoundValue) => void;
  readonly reject: (error: unknown) => void;
}

/** A caller, and the places of its value and its tags' epochs in the command. */
interface PendingGet extends Caller {
  readonly at: number;
  readonly tags: readonly string[];
  readonly tagsAt: readonly number[];
}

const NOWHERE: readonly number[] = [];

/** The reads of one command. */
class GetBatch {
  /** The epoch of everything, then the values and the tags' epochs, each tag once. */
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
    for (const get of this.#gets) get.resolve(foundFor(get, replies, latestMs));
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

function foundFor({ at, tags, tagsAt }: PendingGet, replies: readonly (string | null)[], latestMs: number): FoundValue {
  const value = parseStored(replies[at] ?? '');
  if (value === undefined) return { value, leftMs: -Infinity };
  const current =
    value.epoch === replies[0] &&
    value.tags.length === tags.length &&
    value.tags.every((tag, i) => tag === tags[i] && value.tagEpochs[i] === replies[tagsAt[i] ?? 0]);
  return { value, leftMs: current ? value.freshUntilMs - latestMs : -Infinity };
}
