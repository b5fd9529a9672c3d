import { randomBytes } from 'node:crypto';
import type { Inbox, RedisConnection } from '../redis/index.js';
import type { CacheKeys } from './cache.keys.js';
import type { LoaderFailure } from './cache.errors.js';
import { askScript, type Answer } from './scripts/ask.script.js';
import { deleteScript } from './scripts/delete.script.js';
import { failScript } from './scripts/fail.script.js';
import { fillScript } from './scripts/fill.script.js';
import { releaseScript } from './scripts/release.script.js';
import { renewScript } from './scripts/renew.script.js';
import { setScript } from './scripts/set.script.js';

export interface StoreTiming {
  /** How long a lease lasts unless renewed. */
  readonly leaseMs: number;
  /** How long a reader waits for Redis. */
  readonly readTimeoutMs: number;
}

/** What an error's note in Redis holds. */
export interface NotedFailure extends LoaderFailure {
  readonly backoffMs: number;
}

/**
 * The cache as Redis keeps it: values and leases, one method per step.
 *
 * What a reader waits for settles within `readTimeoutMs`; what changes the cache on a user's order takes the
 * connection's own time and rejects if Redis did not confirm it.
 */
export class CacheStore {
  readonly timing: StoreTiming;
  /** The channel on which every process hears what was invalidated. */
  readonly news: string;
  readonly #connection: RedisConnection;
  readonly #keys: CacheKeys;
  readonly #nonce = randomBytes(9).toString('base64url');
  #requests = 0;

  constructor(connection: RedisConnection, keys: CacheKeys, timing: StoreTiming) {
    this.#connection = connection;
    this.#keys = keys;
    this.timing = timing;
    this.news = connection.channel('cache');
  }

  /** Where the news for this process arrives. */
  get inbox(): Pick<Inbox, 'on' | 'onResync'> {
    return this.#connection.inbox;
  }

  /** Names one request, among all that any process ever makes. */
  newToken(): string {
    return `${this.#nonce}.${(this.#requests++).toString(36)}`;
  }

  /** A lease granted by an answer that came too late is given back. */
  ask(key: string, token: string): Promise<Answer> {
    const { leaseMs, readTimeoutMs } = this.timing;
    return askScript.run(
      this.#connection.commands,
      { keys: this.#both(key), args: { token, inbox: this.#connection.inbox.channel, leaseMs } },
      {
        deadlineMs: readTimeoutMs,
        late: ({ kind }) => {
          if (kind === 'load') void this.release(key, token).catch(() => {});
        },
      },
    );
  }

  /** False: the lease was not this load's own any more, nothing was stored. */
  fill(key: string, token: string, text: string, ttlMs: number): Promise<boolean> {
    const call = { keys: this.#both(key), args: { token, text, ttlMs } };
    return fillScript.run(this.#connection.commands, call, { deadlineMs: this.timing.readTimeoutMs });
  }

  fail(key: string, token: string, failure: NotedFailure): Promise<boolean> {
    const args = { token, failure: JSON.stringify(failure), backoffMs: failure.backoffMs };
    const call = { keys: { lease: this.#keys.lease(key) }, args };
    return failScript.run(this.#connection.commands, call, { deadlineMs: this.timing.readTimeoutMs });
  }

  /** False: the lease is lost. */
  renew(key: string, token: string): Promise<boolean> {
    const { leaseMs } = this.timing;
    const call = { keys: { lease: this.#keys.lease(key) }, args: { token, leaseMs } };
    return renewScript.run(this.#connection.commands, call, { deadlineMs: leaseMs / 3 });
  }

  release(key: string, token: string): Promise<boolean> {
    const call = { keys: { lease: this.#keys.lease(key) }, args: { token } };
    return releaseScript.run(this.#connection.commands, call, { deadlineMs: this.timing.readTimeoutMs });
  }

  get(key: string): Promise<string | null> {
    return this.#connection.commands.send('get', [this.#keys.value(key)], { deadlineMs: this.timing.readTimeoutMs });
  }

  set(key: string, text: string, ttlMs: number): Promise<void> {
    return setScript.run(this.#connection.commands, {
      keys: this.#all(key),
      args: { channel: this.news, key, text, ttlMs },
    });
  }

  delete(key: string): Promise<boolean> {
    return deleteScript.run(this.#connection.commands, { keys: this.#all(key), args: { channel: this.news, key } });
  }

  /** Removes a value that nobody can read. Whoever stored a good one meanwhile loses it, which costs a load. */
  async discard(key: string): Promise<void> {
    const { readTimeoutMs } = this.timing;
    await this.#connection.commands.send('del', [this.#keys.value(key)], { deadlineMs: readTimeoutMs });
  }

  #both(key: string): { value: string; lease: string } {
    return { value: this.#keys.value(key), lease: this.#keys.lease(key) };
  }

  #all(key: string): { value: string; lease: string; sequence: string } {
    return { ...this.#both(key), sequence: this.#keys.sequence };
  }
}
