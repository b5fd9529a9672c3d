import { randomUUID } from 'node:crypto';
import type { Clock, Keyspace, RedisConnection } from '../redis/index.js';
import { durationMs, required, SluiceError } from '../weave/index.js';
import { lifetimeMs } from './lifetime.js';
import { RawLocks } from './raw-locks.js';
import { rawLockScript } from './store/scripts/raw-lock.script.js';
import { rawSetScript } from './store/scripts/raw-set.script.js';

/**
 * Plain strings under literal keys: what a client in any language reads with GET and writes with SET.
 *
 * Nothing of the cache's own machinery: no codec, no waiting, no local copies. A key `k` is `k` in Redis (`shop:k` in the
 * namespace `shop`), its load lock `{k}:~load`. A key may contain braces only as one non-empty hash tag.
 */
export class RawCache {
  readonly #connection: () => RedisConnection;
  readonly #keyspace: Keyspace;
  readonly #clock: Clock;
  readonly #held = new RawLocks();

  constructor(connection: () => RedisConnection, keyspace: Keyspace, clock: Clock) {
    this.#connection = connection;
    this.#keyspace = keyspace;
    this.#clock = clock;
  }

  /**
   * Asks for the right to load a key: `'LOAD'`, it is this process', or `'WAIT'`, somebody loads. It lasts the smaller of the two
   * durations, or until the next `set` of this process.
   *
   * @throws RedisUnavailableError, SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   * @example
   * if ((await cache.raw.lock('user:7', 60_000, 5_000)) === 'LOAD') await cache.raw.set('user:7', await load(), 60_000);
   */
  async lock(key: string, ttlMs: number, loaderTimeoutMs: number): Promise<'LOAD' | 'WAIT'> {
    const { load } = this.#keys(key);
    const lastsMs = Math.min(lifetime(ttlMs, 'ttlMs'), duration(loaderTimeoutMs, 'loaderTimeoutMs'));
    const held = { token: randomUUID(), untilMs: this.#clock.monoMs() + lastsMs };
    const call = { keys: { load }, args: { token: held.token, ttlMs: lastsMs } };
    const answer = await rawLockScript.run(this.#connection().commands, call);
    if (answer === 'LOAD') this.#held.add(key, held, this.#clock.monoMs());
    return answer;
  }

  /**
   * Stores a string for `ttlMs` (`Infinity`: until it is replaced). After a `LOAD` of this process: only while that lock is
   * still its own, and releases it. Without one it is a plain write, after which no load that ran can store anything.
   *
   * @throws SluiceError `SLUICE_CACHE_LEASE_LOST` when the lock was lost: nothing was stored
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async set(key: string, value: string, ttlMs: number): Promise<'OK'> {
    const keys = this.#keys(key);
    const token = this.#held.take(key) ?? '';
    const call = { keys, args: { token, text: value, ttlMs: lifetime(ttlMs, 'ttlMs') } };
    if (await rawSetScript.run(this.#connection().commands, call)) return 'OK';
    throw new SluiceError(
      'SLUICE_CACHE_LEASE_LOST',
      `'${key}' was not stored: the right to load it had expired or was voided by another write`,
    );
  }

  /** The string under a key, null if there is none. */
  get(key: string): Promise<string | null> {
    return this.#connection().commands.send('get', [this.#keys(key).value]);
  }

  #keys(key: string): { value: string; load: string } {
    const value = this.#keyspace.main('cache', '', key);
    return { value, load: this.#keyspace.side(value, 'load') };
  }
}

function duration(value: unknown, name: string): number {
  return required(durationMs(1))(value, `cache.raw: ${name}`);
}

function lifetime(value: unknown, name: string): number {
  return required(lifetimeMs(1))(value, `cache.raw: ${name}`);
}
