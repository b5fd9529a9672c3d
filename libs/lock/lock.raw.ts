import type { Keyspace } from '../redis/index.js';
import { AGE_MAX_MS, checkText, durationMs, required } from '../weave/index.js';
import { lockKeys } from './store/lock.keys.js';
import type { LockStore } from './store/lock.store.js';

/**
 * Redis' own lock recipe, and nothing else: the recipe does not wait or renew, has no fencing token and reports no loss. It is
 * for use with scripts and programs in other languages that use the same recipe. Such programs and `LockService` exclude each
 * other, because they use the same key: `lock:<name>`, behind the namespace.
 *
 * Use {@link LockService} wherever the end of the lock matters.
 *
 * @example
 * if ((await locks.raw.acquire('import', 'job-7', 30_000)) === 1) {
 *   // redis-cli: SET lock:import job-7 NX PX 30000
 *   await locks.raw.release('import', 'job-7');
 * }
 */
export class RawLock {
  readonly #keyspace: Keyspace;
  readonly #store: Pick<LockStore, 'rawAcquire' | 'rawRelease' | 'rawExtend'>;

  /** Made by `LockService`. */
  constructor(keyspace: Keyspace, store: Pick<LockStore, 'rawAcquire' | 'rawRelease' | 'rawExtend'>) {
    this.#keyspace = keyspace;
    this.#store = store;
  }

  /**
   * `SET lock:<name> owner NX PX ttlMs`. Resolves to 1 if `owner` holds the lock now, for `ttlMs` milliseconds (1 to 100 years).
   * Resolves to 0 if the lock is held, also if the same owner holds it.
   *
   * @throws RedisUnavailableError if Redis did not answer: the lock may have been taken
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   */
  async acquire(name: string, owner: string, ttlMs: number): Promise<1 | 0> {
    const { lock } = lockKeys(this.#keyspace, name);
    return bit(await this.#store.rawAcquire(lock, checkOwner(owner, 'acquire'), checkTtl(ttlMs, 'raw.acquire: ttlMs')));
  }

  /** Deletes the lock if `owner` holds it, and resolves to 1; else resolves to 0. Throws as `acquire`. */
  async release(name: string, owner: string): Promise<1 | 0> {
    const { lock } = lockKeys(this.#keyspace, name);
    return bit(await this.#store.rawRelease(lock, checkOwner(owner, 'release')));
  }

  /** Makes the lock last `ttlMs` from now if `owner` holds it, and resolves to 1; else resolves to 0. Throws as `acquire`. */
  async extend(name: string, owner: string, ttlMs: number): Promise<1 | 0> {
    const { lock } = lockKeys(this.#keyspace, name);
    return bit(await this.#store.rawExtend(lock, checkOwner(owner, 'extend'), checkTtl(ttlMs, 'raw.extend: ttlMs')));
  }
}

/** No timer depends on a lease of the plain recipe. */
const checkTtl = required(durationMs(0, { max: AGE_MAX_MS }));

function bit(done: boolean): 1 | 0 {
  return done ? 1 : 0;
}

function checkOwner(owner: unknown, method: string): string {
  return checkText(owner, `raw.${method}: owner`);
}
