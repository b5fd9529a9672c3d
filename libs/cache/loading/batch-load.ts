import { SluiceError } from '../../weave/index.js';
import type { Loader, LoaderContext } from './loader-run.js';

/** The second argument of a batch loader. */
export interface BatchContext {
  /** Aborts when no value of the batch is of use any more. */
  readonly signal: AbortSignal;
}

/**
 * Gets the values of several keys from their source, in the order of the keys. An `Error` in place of a value fails only the
 * key at that position.
 */
export type BatchLoader<T> = (
  keys: readonly string[],
  context: BatchContext,
) => readonly (T | Error)[] | Promise<readonly (T | Error)[]>;

/** Reads one key. `onWait` is called once the read is known to wait for another load, or for a slot at the source. */
type Read = (key: string, loader: Loader<unknown>, onWait: () => void) => Promise<unknown>;

/**
 * Reads several keys at once. The keys for which this call gets the lease are loaded in one batch, once Redis has answered for
 * each key. More than 500 keys are read in parts, one after the other. A key whose lease this call gets later is loaded in a
 * further batch: the process that loaded it died, or a slot became free.
 *
 * The batch waits only for answers of Redis, never for another load. So this call never holds an unused lease while it waits for
 * another load.
 */
export async function loadMany(keys: readonly string[], load: BatchLoader<unknown>, read: Read): Promise<unknown[]> {
  const distinct = [...new Set(keys)];
  const settled = new Map<string, PromiseSettledResult<unknown>>();
  for (let from = 0; from < distinct.length; from += KEYS_AT_ONCE) {
    const part = distinct.slice(from, from + KEYS_AT_ONCE);
    const batch = new Batch(load, new Set(part));
    const ends = await Promise.allSettled(part.map((key) => batch.read(key, read)));
    for (const [i, key] of part.entries()) settled.set(key, ends[i] as PromiseSettledResult<unknown>);
  }
  return keys.map((key) => {
    const end = settled.get(key) as PromiseSettledResult<unknown>;
    if (end.status === 'rejected') throw end.reason;
    return end.value;
  });
}

/**
 * The number of keys in one part. Each key that is loaded has a lease that is renewed, so a part must not take long. With 20,000
 * keys on a busy machine, leases of the first keys ended before the last key had been asked for, and nothing was stored.
 */
const KEYS_AT_ONCE = 500;

interface Wanted {
  readonly context: LoaderContext;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

class Batch {
  /** Keys for which Redis has not answered yet. */
  readonly undecided: Set<string>;
  readonly #load: BatchLoader<unknown>;
  #wanted: Wanted[] = [];
  #began = false;
  #gathering = false;

  constructor(load: BatchLoader<unknown>, keys: Set<string>) {
    this.#load = load;
    this.undecided = keys;
  }

  async read(key: string, read: Read): Promise<unknown> {
    const decide = (): void => {
      this.#decide(key);
    };
    try {
      return await read(key, (context) => this.#want(context), decide);
    } finally {
      decide();
    }
  }

  #want(context: LoaderContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#wanted.push({ context, resolve, reject });
      this.#decide(context.key);
    });
  }

  #decide(key: string): void {
    this.undecided.delete(key);
    if (this.undecided.size > 0 || this.#wanted.length === 0) return;
    if (!this.#began) {
      this.#began = true;
      void this.#run(this.#wanted.splice(0));
    } else if (!this.#gathering) {
      // Leases that come later tend to come together: they make one further batch, not a call for each key.
      this.#gathering = true;
      setImmediate(() => {
        this.#gathering = false;
        void this.#run(this.#wanted.splice(0));
      });
    }
  }

  async #run(wanted: readonly Wanted[]): Promise<void> {
    const keys = wanted.map(({ context }) => context.key);
    try {
      const values = await this.#load(keys, { signal: whenAll(wanted.map(({ context }) => context.signal)) });
      checkCount(keys, values);
      for (const [i, { resolve, reject }] of wanted.entries()) {
        const value = values[i];
        if (value instanceof Error) reject(value);
        else resolve(value);
      }
    } catch (error) {
      for (const { reject } of wanted) reject(error);
    }
  }
}

function checkCount(keys: readonly string[], values: unknown): void {
  if (Array.isArray(values) && values.length === keys.length) return;
  const got = Array.isArray(values) ? `${values.length} values` : 'no list';
  throw new SluiceError(
    'SLUICE_CACHE_BAD_BATCH',
    `a batch loader must answer ${keys.length} values, one per key in their order; got ${got}`,
  );
}

/** A signal that aborts when all of these signals have aborted. */
function whenAll(signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  let left = signals.length;
  const one = (): void => {
    if (--left === 0) controller.abort(signals.at(-1)?.reason);
  };
  for (const signal of signals) signal.addEventListener('abort', one, { once: true });
  return controller.signal;
}
