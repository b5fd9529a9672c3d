import type { Keyspace } from '../redis/index.js';
import { AGE_MAX_MS, badOption, durationMs, optional, resolveOptions } from '../weave/index.js';
import { StaleTokenError } from './lock.errors.js';
import type { LockStore } from './store/lock.store.js';

/** A week, in milliseconds. A process that comes back later than that is not refused. */
const REMEMBER_MS = 7 * 86_400_000;
/** No timer depends on these times. */
const AGE = { max: AGE_MAX_MS };

export interface FencedOptions {
  /**
   * How long the token of the last write is remembered, in milliseconds. An old holder that writes later is not refused any more.
   * The token is remembered for at least `ttlMs`. Default 604 800 000 (a week).
   */
  rememberMs?: number;
}

export interface FencedSetOptions extends FencedOptions {
  /** The value's time to live, in milliseconds. Default: the value stays. */
  ttlMs?: number;
}

type FencedStore = Pick<LockStore, 'fencedSet' | 'fencedDelete'>;

/**
 * Writes to your own keys that only the newest holder of a lock may make. A lease alone cannot promise that: a process that was
 * paused may write after it has lost its lock. Each write carries the lock's `fencingToken`. A write is refused if a newer
 * token has written before.
 *
 * Keys are used as they are, without the namespace. The token is kept beside each key, in `{key}:~fenced`. All writers of a key
 * must write through this class, under the same lock: tokens of different locks cannot be compared. The keys are on the Redis of
 * the locks.
 */
export class FencedKeys {
  readonly #keyspace: Keyspace;
  readonly #store: FencedStore;

  /** Made by `LockService`. */
  constructor(keyspace: Keyspace, store: FencedStore) {
    this.#keyspace = keyspace;
    this.#store = store;
  }

  /**
   * Sets the key, unless a holder with a newer token has written it before.
   *
   * @throws StaleTokenError nothing was written: the lock was lost to a newer holder
   * @throws RedisUnavailableError if Redis did not answer; the value may have been written
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   * @example
   * await locks.withLock(`account:${id}`, async ({ fencingToken }) => {
   *   const balance = await compute(id);
   *   await locks.fenced.set(`balance:${id}`, String(balance), fencingToken);
   * });
   */
  async set(key: string, value: string | Buffer, fencingToken: number, options?: FencedSetOptions): Promise<void> {
    const keys = this.#keys(key);
    const token = checkToken(fencingToken);
    if (typeof value !== 'string' && !Buffer.isBuffer(value))
      throw badOption('fenced.set: value', 'a string or a Buffer', value);
    const { ttlMs, rememberMs } = resolveOptions<FencedSetOptions>('fenced.set', options, {
      ttlMs: optional(durationMs(0, AGE)),
      rememberMs: durationMs(REMEMBER_MS, AGE),
    });
    const keepMs = Math.max(rememberMs ?? REMEMBER_MS, ttlMs ?? 0);
    refuse(key, token, await this.#store.fencedSet(keys, { token, value, ttlMs, keepMs }));
  }

  /**
   * Deletes the key, unless a holder with a newer token has written it before. Throws the same errors as {@link set}. After the
   * delete, a holder with an older token cannot write the key again.
   */
  async delete(key: string, fencingToken: number, options?: FencedOptions): Promise<void> {
    const keys = this.#keys(key);
    const token = checkToken(fencingToken);
    const { rememberMs = REMEMBER_MS } = resolveOptions<FencedOptions>('fenced.delete', options, {
      rememberMs: durationMs(REMEMBER_MS, AGE),
    });
    refuse(key, token, await this.#store.fencedDelete(keys, { token, keepMs: rememberMs }));
  }

  #keys(key: string): { key: string; fenced: string } {
    return { key, fenced: this.#keyspace.side(this.#keyspace.literal('fenced key', key), 'fenced') };
  }
}

function refuse(key: string, token: number, seen: number | undefined): void {
  if (seen !== undefined) throw new StaleTokenError(key, token, seen);
}

function checkToken(token: unknown): number {
  if (Number.isSafeInteger(token) && (token as number) > 0) return token as number;
  throw badOption('fencingToken', "a lock's fencingToken", token);
}
