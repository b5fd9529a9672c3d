import { GenerationalMap, type Clock, type RedisConnection } from '../../redis/index.js';
import type { CacheStore } from './cache.store.js';

/** For how long an invalidation is repeated, in milliseconds. As long as Sentinels wait by default until they replace a primary. */
const KEEP_MS = 30_000;

/** How many entries and how many tags are remembered at least. Of more within the time, the oldest are forgotten. */
const KEPT = 10_000;

/**
 * What this process has invalidated of late, to be invalidated again at another server.
 *
 * A failover may lose what the old primary acknowledged last. Without a repeat, a lost invalidation would leave the old value until
 * its time is over. A server that comes back from the disk may have lost its last second as well. So as soon as the commands lead
 * to a server process that is not the one before, everything is invalidated again that was acknowledged in the last 30 s. That
 * costs loads, and nothing else.
 *
 * A value that this process has stored since is left alone. One that another process has stored since is removed too.
 */
export class InvalidationRepeats {
  readonly #clock: Clock;
  readonly #store: Pick<CacheStore, 'delete' | 'invalidateTags' | 'clear'>;
  /** When each was invalidated, by the clock. */
  readonly #entries = new GenerationalMap<string, number>({ size: KEPT });
  readonly #tags = new GenerationalMap<string, number>({ size: KEPT });
  #clearedMs = -Infinity;
  /** The server process that has executed everything so far. */
  #server: string | undefined;

  constructor(connection: RedisConnection, clock: Clock, store: CacheStore) {
    this.#clock = clock;
    this.#store = store;
    connection.commands.onUp(() => {
      // A refused INFO is reported at boot. An outage, or a refused invalidation, is reported by the connection, and the next
      // connect tries again.
      void this.#meet(connection).catch(() => {});
    });
  }

  /** The removal of this entry was acknowledged. */
  deleted(entry: string): void {
    this.#entries.set(entry, this.#clock.monoMs());
  }

  stored(entry: string): void {
    this.#entries.delete(entry);
  }

  invalidated(tags: readonly string[]): void {
    const nowMs = this.#clock.monoMs();
    for (const tag of tags) this.#tags.set(tag, nowMs);
  }

  cleared(): void {
    this.#clearedMs = this.#clock.monoMs();
  }

  async #meet(connection: RedisConnection): Promise<void> {
    const server = /^run_id:(\w+)/m.exec(await connection.info())?.[1];
    if (server === undefined || server === this.#server) return;
    if (this.#server !== undefined) await this.#repeat();
    this.#server = server;
  }

  async #repeat(): Promise<void> {
    const sinceMs = this.#clock.monoMs() - KEEP_MS;
    const recent = (map: GenerationalMap<string, number>): string[] =>
      map.entries().flatMap(([name, atMs]) => (atMs > sinceMs ? [name] : []));
    if (this.#clearedMs > sinceMs) {
      await this.#store.clear();
      return;
    }
    const tags = recent(this.#tags);
    const entries = recent(this.#entries).map((entry) => this.#store.delete(entry));
    await Promise.all(tags.length > 0 ? [this.#store.invalidateTags(tags), ...entries] : entries);
  }
}
