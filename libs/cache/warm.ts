import { count, fn, resolveOptions } from '../weave/index.js';
import type { CacheOptions } from './cache.options.js';
import type { Loader } from './loading/loader-run.js';

/** One value that should be in the cache. */
export interface WarmEntry<T = unknown> {
  readonly key: string;
  readonly loader: Loader<T>;
  readonly options?: CacheOptions<T>;
}

export interface WarmOptions {
  /** How many entries are read at once. Default 10. */
  concurrency?: number;
  /** Called after each entry, in the order in which they end. What it throws, or rejects with, is the error of `warm`. */
  onProgress?: (progress: WarmProgress) => void;
}

/** The progress of a call of `warm`. */
export interface WarmProgress {
  /** Entries that have ended. */
  readonly done: number;
  /** Those of the ended entries that this process loaded. The others were there already, were loaded elsewhere, or failed. */
  readonly loaded: number;
  readonly failed: readonly WarmFailure[];
}

export interface WarmFailure {
  readonly key: string;
  readonly error: unknown;
}

/**
 * Reads every entry once, `concurrency` at a time. Entries are taken as they are needed, so that they may be generated. An entry
 * that fails is reported, and does not stop the others.
 */
export async function warm(
  entries: Iterable<WarmEntry> | AsyncIterable<WarmEntry>,
  options: WarmOptions | undefined,
  read: (entry: WarmEntry) => Promise<unknown>,
): Promise<WarmProgress> {
  const { concurrency, onProgress } = resolveOptions('warm options', options, {
    concurrency: count(10),
    onProgress: fn<(progress: WarmProgress) => unknown>(),
  });
  const failed: WarmFailure[] = [];
  let done = 0;
  let loaded = 0;
  const progress = (): WarmProgress => ({ done, loaded, failed: [...failed] });
  const work = async ({ key, loader, ...rest }: WarmEntry): Promise<void> => {
    const counting: Loader<unknown> = async (context) => {
      const value = await loader(context);
      loaded++;
      return value;
    };
    try {
      await read({ key, loader: counting, ...rest });
    } catch (error) {
      failed.push({ key, error });
    }
    done++;
    await onProgress?.(progress());
  };
  // Each worker that is free takes the next entry. A generator answers its callers one after the other, however many they are.
  const queue = oneByOne(entries);
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for await (const entry of queue) await work(entry);
    }),
  );
  return progress();
}

async function* oneByOne(entries: Iterable<WarmEntry> | AsyncIterable<WarmEntry>): AsyncGenerator<WarmEntry, void> {
  yield* entries;
}
