import { randomBytes } from 'node:crypto';
import type { Clock, Inbox, RedisConnection } from '../../redis/index.js';
import { CircuitBreaker } from './circuit-breaker.js';
import type { NotedFailure } from '../cache.errors.js';
import { pack } from './compression.js';
import { ENTRY_PREFIXES, type CacheKeys } from './cache.keys.js';
import { LeaseReleases } from './lease-releases.js';
import type { SeenEntry } from './recently-seen.js';
import { GetBatcher, type FoundValue } from './get-batcher.js';
import { askScript, type Answer } from './scripts/ask.script.js';
import { clearScript } from './scripts/clear.script.js';
import { deleteScript } from './scripts/delete.script.js';
import { failScript } from './scripts/fail.script.js';
import { fillScript } from './scripts/fill.script.js';
import { invalidateTagsScript } from './scripts/invalidate-tags.script.js';
import { PeekBatcher } from './peek-batcher.js';
import { renewSlotScript } from './scripts/renew-slot.script.js';
import { renewScript } from './scripts/renew.script.js';
import { setScript } from './scripts/set.script.js';
import { takeScript } from './scripts/take.script.js';
import { ServerClock } from './server-clock.js';
import type { StoredValue } from './stored-value.js';

export interface StoreTiming {
  /** How long a lease lasts unless it is renewed. */
  readonly leaseMs: number;
  /** How long Redis may be silent while a reader waits for it. */
  readonly readTimeoutMs: number;
  /** Texts of this many characters and more are packed. */
  readonly packFrom: number;
}

/** What a reader tells Redis with its question. */
export interface AskRequest {
  readonly token: string;
  /** Tags that are known before the load. */
  readonly tags: readonly string[];
  /** True if the result names further tags. */
  readonly hasResultTags: boolean;
  /** The longest time that the loaded value may live, from the grant on. */
  readonly keepMs: number;
  /** How long past its time a value is still acceptable. */
  readonly staleMs: number;
  /** True if the reader waits for a running refresh for a while, before it takes a stale value. */
  readonly waitForRefresh: boolean;
  /** -β·ln(random), for the early refresh. */
  readonly earlyRefreshDraw: number;
  /** The name of the source that the value is loaded from. */
  readonly source: string;
  /** How many loads the source takes at once. 0: any number. */
  readonly limit: number;
  /** True if the reader was queued for a slot, and asks again because there may be one. */
  readonly retryForSlot: boolean;
}

/** A value to be stored, and for how long. */
export interface NewValue {
  readonly text: string;
  readonly ttlMs: number;
  readonly staleMs: number;
  /** In a fill: the tags that only the result named. */
  readonly tags: readonly string[];
  /** In a fill: true if the value is pushed to the waiting requests, and not stored. */
  readonly share?: boolean;
}

/** The most tags that one call of a script gets. */
const TAGS_AT_ONCE = 1_000;

/**
 * The cache as Redis keeps it: values, leases and epochs, one method per step. Keys are entries (`entryOf`).
 *
 * A read settles once Redis has been silent for `readTimeoutMs`. The end of a load settles once Redis has been silent for a
 * third of the lease. A change that a user makes waits for the connection's own timeout, and rejects if Redis did not confirm it.
 *
 * Keys and arguments are written out, not spread. A spread before further keys makes new hidden classes on each call (see ADR
 * 19).
 */
export class CacheStore {
  readonly timing: StoreTiming;
  /** The channel on which every process hears what was invalidated. */
  readonly invalidationChannel: string;
  readonly serverClock: ServerClock;
  readonly #connection: RedisConnection;
  readonly #keys: CacheKeys;
  readonly #breaker: CircuitBreaker;
  readonly #leaseReleases: LeaseReleases;
  readonly #gets: GetBatcher;
  readonly #peeks: PeekBatcher;
  readonly #nonce = randomBytes(9).toString('base64url');
  readonly #downListeners = new Set<() => void>();
  #requests = 0;

  constructor(connection: RedisConnection, keys: CacheKeys, timing: StoreTiming, clock: Clock) {
    this.#connection = connection;
    this.#keys = keys;
    this.timing = timing;
    this.invalidationChannel = connection.channel('cache');
    connection.requireRights(keys.rights(this.invalidationChannel));
    this.serverClock = new ServerClock(clock);
    const failOpen = (): void => {
      for (const listener of this.#downListeners) listener();
    };
    this.#breaker = new CircuitBreaker(clock, timing.readTimeoutMs, failOpen);
    this.#leaseReleases = new LeaseReleases(connection, keys, timing, clock);
    this.#peeks = new PeekBatcher({
      connection,
      keys,
      breaker: this.#breaker,
      deadlineMs: timing.readTimeoutMs,
    });
    this.#gets = new GetBatcher({
      connection,
      keys,
      breaker: this.#breaker,
      serverClock: this.serverClock,
      deadlineMs: timing.readTimeoutMs,
    });
    connection.commands.onUp(() => {
      this.#breaker.close();
      this.serverClock.reset();
    });
    connection.commands.onDown(failOpen);
  }

  /**
   * Adds a listener, called when it becomes known that Redis does not answer: the socket died, or Redis hangs. A message that is
   * waited for may then never come.
   */
  onDown(listener: () => void): void {
    this.#downListeners.add(listener);
  }

  /** The key that counts the announcements of invalidations. */
  get sequence(): string {
    return this.#keys.sequence;
  }

  /** Where messages for this process arrive. */
  get inbox(): Pick<Inbox, 'on' | 'onResync' | 'join' | 'proveFor' | 'proven'> {
    return this.#connection.inbox;
  }

  /** Calls `changed` with the entries that any client changed, by any command. `undefined`: all entries. */
  track(changed: (entries: readonly string[] | undefined) => void): Pick<Inbox, 'proven' | 'onResync' | 'proveFor'> {
    const prefixes = ENTRY_PREFIXES.map((prefix) => this.#keys.value(prefix));
    const lane = this.#keys.value('').length;
    return this.#connection.track(prefixes, (keys) => {
      changed(keys?.map((key) => key.slice(lane)));
    });
  }

  /** A new token. It names one request, and no other request of any process ever has the same token. */
  newToken(): string {
    return `${this.#nonce}.${(this.#requests++).toString(36)}`;
  }

  /** Reads a value that was there a moment ago, in one command with the other reads of this turn of the event loop. */
  tryGet(entry: string, seen: SeenEntry): Promise<FoundValue> {
    return this.#gets.tryGet(entry, seen);
  }

  /** Asks Redis with the ask script. A grant in an answer that comes too late, or never, is given back. */
  async ask(entry: string, question: AskRequest): Promise<Answer> {
    const { leaseMs, readTimeoutMs } = this.timing;
    const { token, keepMs, staleMs, earlyRefreshDraw, limit, source } = question;
    const { tagPrefix, epoch, recent } = this.#keys;
    const sentAtMs = this.serverClock.sent();
    const asking = this.#breaker.guard(() =>
      askScript.run(
        this.#connection.commands,
        {
          keys: {
            value: this.#keys.value(entry),
            lease: this.#keys.lease(entry),
            epoch,
            recent,
            slots: this.#keys.slots(source),
            queue: this.#keys.queue(source),
          },
          args: {
            token,
            inbox: this.#connection.inbox.channel,
            leaseMs,
            tagPrefix,
            keepMs,
            staleMs,
            waitForRefresh: Number(question.waitForRefresh),
            earlyRefreshDraw,
            hasResultTags: Number(question.hasResultTags),
            limit,
            retryForSlot: Number(question.retryForSlot),
          },
          rest: question.tags,
        },
        {
          deadlineMs: readTimeoutMs,
          whileSilent: true,
          late: (late) => {
            this.#breaker.close();
            this.#leaseReleases.answeredLate(entry, question, late);
          },
        },
      ),
    );
    try {
      const answer = await asking;
      this.serverClock.heard(answer.serverMs, sentAtMs);
      return answer;
    } catch (error) {
      this.#leaseReleases.unanswered(entry, question, error);
      throw error;
    }
  }

  /** False: nothing was stored. The lease did not belong to this load any more, or the loaded value was invalidated. */
  async fill(entry: string, token: string, loadMs: number, value: NewValue): Promise<boolean> {
    const { text, ttlMs, staleMs, tags } = value;
    const { tagPrefix, epoch, recent } = this.#keys;
    const sentAtMs = this.serverClock.sent();
    const serverMs = await fillScript.run(
      this.#connection.commands,
      {
        keys: { value: this.#keys.value(entry), lease: this.#keys.lease(entry), epoch, recent },
        args: {
          token,
          text: pack(text, this.timing.packFrom),
          ttlMs,
          staleMs,
          loadMs,
          share: Number(value.share === true),
          tagPrefix,
        },
        rest: tags,
      },
      { deadlineMs: this.#endDeadlineMs(), whileSilent: true },
    );
    if (serverMs === 0) return false;
    this.serverClock.heard(serverMs, sentAtMs);
    return true;
  }

  fail(entry: string, token: string, failure: NotedFailure): Promise<boolean> {
    const args = { token, failure: JSON.stringify(failure), backoffMs: failure.backoffMs };
    const call = { keys: { lease: this.#keys.lease(entry) }, args };
    return failScript.run(this.#connection.commands, call, {
      deadlineMs: this.#endDeadlineMs(),
      whileSilent: true,
    });
  }

  /**
   * How long Redis may be silent about the end of a load: a third of the lease, as for a renewal, and at least `readTimeoutMs`.
   * To give up too early costs a load. Besides, a server that does not know the script answers so, and the script is sent again
   * only while its call waits.
   */
  #endDeadlineMs(): number {
    return Math.max(this.timing.readTimeoutMs, this.timing.leaseMs / 3);
  }

  /** False: the lease is lost, or the value that is loaded under it was invalidated. */
  renew(entry: string, token: string): Promise<boolean> {
    const { leaseMs } = this.timing;
    const { tagPrefix, epoch } = this.#keys;
    const call = { keys: { lease: this.#keys.lease(entry), epoch }, args: { token, leaseMs, tagPrefix } };
    return renewScript.run(this.#connection.commands, call, { deadlineMs: leaseMs / 3 });
  }

  /** Gives a lease back. Rejects if Redis does not confirm the release, which is then repeated in the background. */
  release(entry: string, token: string): Promise<boolean> {
    return this.#leaseReleases.release(entry, token);
  }

  renewSlot(source: string, token: string): Promise<void> {
    const { leaseMs } = this.timing;
    const call = { keys: { slots: this.#keys.slots(source) }, args: { token, leaseMs } };
    return renewSlotScript.run(this.#connection.commands, call, { deadlineMs: leaseMs / 3 });
  }

  /** Gives back a slot, or the place in the queue for a slot. Repeated in the background as {@link release} is. */
  leaveSlot(source: string, token: string, limit: number): Promise<void> {
    return this.#leaseReleases.leaveSlot(source, token, limit);
  }

  /** The fresh value, if there is one. Read in one script with the other reads of this turn of the event loop. */
  get(entry: string): Promise<StoredValue | undefined> {
    return this.#peeks.get(entry);
  }

  async set(entry: string, { text, ttlMs, staleMs, tags }: NewValue): Promise<void> {
    const { tagPrefix, epoch, sequence } = this.#keys;
    const [token, sentAtMs] = [this.newToken(), this.serverClock.sent()];
    const serverMs = await setScript.run(this.#connection.commands, {
      keys: { value: this.#keys.value(entry), lease: this.#keys.lease(entry), sequence, epoch },
      args: {
        channel: this.invalidationChannel,
        entry,
        token,
        text: pack(text, this.timing.packFrom),
        ttlMs,
        staleMs,
        tagPrefix,
      },
      rest: tags,
    });
    this.serverClock.heard(serverMs, sentAtMs);
  }

  delete(entry: string): Promise<boolean> {
    const { tagPrefix, epoch, sequence } = this.#keys;
    return deleteScript.run(this.#connection.commands, {
      keys: { value: this.#keys.value(entry), lease: this.#keys.lease(entry), sequence, epoch },
      args: { channel: this.invalidationChannel, entry, tagPrefix },
    });
  }

  /** The fresh value, if there is one. The value is then removed. */
  take(entry: string): Promise<StoredValue | undefined> {
    const { tagPrefix, epoch, sequence } = this.#keys;
    return takeScript.run(this.#connection.commands, {
      keys: { value: this.#keys.value(entry), sequence, epoch },
      args: { channel: this.invalidationChannel, entry, tagPrefix },
    });
  }

  async invalidateTags(tags: readonly string[]): Promise<void> {
    const { tagPrefix, recent, sequence } = this.#keys;
    const calls = [];
    for (let at = 0; at < tags.length; at += TAGS_AT_ONCE) {
      const rest = tags.slice(at, at + TAGS_AT_ONCE);
      const call = { keys: { recent, sequence }, args: { channel: this.invalidationChannel, tagPrefix }, rest };
      calls.push(invalidateTagsScript.run(this.#connection.commands, call));
    }
    await Promise.all(calls);
  }

  clear(): Promise<void> {
    const { epoch, sequence } = this.#keys;
    const call = { keys: { epoch, sequence }, args: { channel: this.invalidationChannel } };
    return clearScript.run(this.#connection.commands, call);
  }

  /** Removes a value that cannot be read. A good value that was stored meanwhile is lost too, which costs a load. */
  async discard(entry: string): Promise<void> {
    const { readTimeoutMs } = this.timing;
    await this.#connection.commands.send('del', [this.#keys.value(entry)], { deadlineMs: readTimeoutMs });
  }
}
