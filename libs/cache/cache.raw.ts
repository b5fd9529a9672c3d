import { randomUUID } from 'node:crypto';
import type { Clock, Keyspace, RedisConnection } from '../redis/index.js';
import { durationMs, required, SluiceError } from '../weave/index.js';
import { lifetimeMs } from './lifetime.js';
import { RawLocks } from './raw-locks.js';
import { rawLockScript } from './store/scripts/raw-lock.script.js';
import { rawSetScript } from './store/scripts/raw-set.script.js';

/**
 * Plain strings under literal keys. A client in any language reads them with GET and writes them with SET.
 *
 * There is no codec, no waiting, and no local copy. The key `k` is `k` in Redis (`shop:k` in the namespace `shop`), and its load
 * lock is `{k}:~load`. A key may contain braces only as one non-empty hash tag.
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
   * Asks for the right to load a key. `'LOAD'`: this process has the right. `'WAIT'`: another process, or another call, has it.
   * The right lasts the smaller of the two durations in milliseconds, or until the next `set` of this process.
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
   * Stores a string for `ttlMs` milliseconds (`Infinity`: until it is replaced). After a `LOAD` of this process, the string is
   * stored only if the process still has the lock, and the lock is released. Without a `LOAD` it is a plain write, after which
   * no load that ran before can store anything.
   *
   * @throws SluiceError `SLUICE_CACHE_LEASE_LOST` if the lock was lost: nothing was stored
   * @throws RedisUnavailableError if Redis did not confirm the write
   * @example
   * await cache.raw.set('greeting', 'hello', 60_000);
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

  /**
   * The string under a key, or null if there is none.
   *
   * @throws RedisUnavailableError
   * @example
   * const greeting = await cache.raw.get('greeting');
   */
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
