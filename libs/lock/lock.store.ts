import type { Keyspace, RedisConnection } from '../redis/index.js';
import { keysBeside, tickKey, type LockKeys } from './lock.keys.js';
import type { LockIdentity, LockRequest } from './lock-request.js';
import { acquireTick } from './scripts/acquire-tick.script.js';
import type { Acquired, AcquiredTick, LockHolder } from './scripts/acquire.reply.js';
import { acquire } from './scripts/acquire.script.js';
import { fencedDelete, fencedSet, type Seen } from './scripts/fenced.scripts.js';
import { forceRelease } from './scripts/force-release.script.js';
import { heartbeat, type Heartbeat } from './scripts/heartbeat.script.js';
import { inspect, type Inspected } from './scripts/inspect.script.js';
import { rawExtend, rawRelease } from './scripts/raw.scripts.js';
import { release, type Released } from './scripts/release.script.js';
import { renew } from './scripts/renew.script.js';
import type { Waiter } from './waiter.js';

/** A scheduled instant for which a method is to run once in the fleet. */
export interface Tick {
  /** Which method: `Class.method`. Several may share a lock, and each has instants of its own. */
  readonly method: string;
  readonly instantMs: number;
  /** How long the instant's mark is kept. */
  readonly keepMs: number;
}

/** A grant that was pushed to this process. */
export interface Pushed {
  readonly identity: LockIdentity;
  readonly token: number;
  readonly validMs: number;
}

/** A lock was taken away from the acquisition that held it under this token. */
export interface Forced {
  readonly nonce: string;
  readonly token: number;
}

/** A key of the user's, and beside it the highest token that wrote it. */
export interface FencedKey {
  readonly key: string;
  readonly fenced: string;
}

export interface FencedWrite {
  readonly token: number;
  /** How long the token is remembered. */
  readonly keepMs: number;
}

export interface FencedSet extends FencedWrite {
  readonly value: string | Buffer;
  readonly ttlMs: number | undefined;
}

/** All that locks ask of one Redis: one script each, one command. */
export class LockStore {
  readonly #connection: RedisConnection;
  readonly #keyspace: Keyspace;
  readonly #who: string;

  constructor(connection: RedisConnection, keyspace: Keyspace, who: string) {
    this.#connection = connection;
    connection.keeps('locks');
    this.#keyspace = keyspace;
    this.#who = who;
  }

  /** Takes the lock, or joins its queue. */
  join(request: LockRequest): Promise<Acquired> {
    return this.#acquire(request, 1);
  }

  /** Takes the lock if it is free. */
  attempt(request: LockRequest): Promise<Acquired> {
    return this.#acquire(request, 0);
  }

  attemptTick(request: LockRequest, tick: Tick): Promise<AcquiredTick> {
    const { keys, nonce, owner, ttlMs } = request;
    return acquireTick.run(this.#connection.commands, {
      keys: { ...keys, tick: tickKey(this.#keyspace, keys, tick.method) },
      args: { nonce, owner, ttl: String(ttlMs), who: this.#who, instant: tick.instantMs, keep: String(tick.keepMs) },
    });
  }

  /** For waiters of this process on one lock. */
  heartbeat(keys: LockKeys, waiters: readonly Waiter[]): Promise<Heartbeat> {
    const rest = waiters.flatMap(({ request, place }) => [request.nonce, request.owner, request.ttlMs, place]);
    const { commands, inbox } = this.#connection;
    const args = { inbox: inbox.channel, who: this.#who };
    return heartbeat.run(commands, { keys, args, rest });
  }

  renew({ keys, nonce, owner }: LockIdentity, ttlMs: number, deadlineMs: number): Promise<boolean> {
    const call = { keys: { lock: keys.lock, holder: keys.holder }, args: { nonce, owner, ttl: String(ttlMs) } };
    return renew.run(this.#connection.commands, call, { deadlineMs });
  }

  release({ keys, nonce, owner }: LockIdentity, deadlineMs?: number): Promise<Released> {
    const timing = deadlineMs === undefined ? {} : { deadlineMs };
    return release.run(this.#connection.commands, { keys, args: { nonce, owner } }, timing);
  }

  /** Who holds the lock and who waits for it; null if it is free. */
  inspect({ lock, holder, queue, waiters }: LockKeys): Promise<Inspected | null> {
    return inspect.run(this.#connection.commands, { keys: { lock, holder, queue, waiters }, args: {} });
  }

  /** Takes the lock away from whoever holds it: answers who that was, undefined if it was free. */
  forceRelease(keys: LockKeys): Promise<LockHolder | undefined> {
    const [before = '', behind = ''] = this.#connection.inboxOf('\n').split('\n');
    return forceRelease.run(this.#connection.commands, { keys, args: { before, behind } });
  }

  /** Calls `forced` when a lock of this process was taken away. */
  onForced(forced: (what: Forced) => void): void {
    this.#connection.inbox.on('lock-forced', (parts) => {
      const [nonce = '', token] = parts.map((part) => part.toString());
      forced({ nonce, token: Number(token) });
    });
  }

  async rawAcquire(lock: string, owner: string, ttlMs: number): Promise<boolean> {
    return (await this.#connection.commands.send('set', [lock, owner, 'PX', ttlMs, 'NX'])) === 'OK';
  }

  rawRelease(lock: string, owner: string): Promise<boolean> {
    return rawRelease.run(this.#connection.commands, { keys: { lock }, args: { owner } });
  }

  rawExtend(lock: string, owner: string, ttlMs: number): Promise<boolean> {
    return rawExtend.run(this.#connection.commands, { keys: { lock }, args: { owner, ttl: String(ttlMs) } });
  }

  /** Writes unless a newer token has: then answers that one. */
  fencedSet(keys: FencedKey, { token, value, ttlMs, keepMs }: FencedSet): Promise<Seen> {
    const args = { token: String(token), value, ttl: String(ttlMs ?? ''), keep: String(keepMs) };
    return fencedSet.run(this.#connection.commands, { keys, args });
  }

  fencedDelete(keys: FencedKey, { token, keepMs }: FencedWrite): Promise<Seen> {
    return fencedDelete.run(this.#connection.commands, { keys, args: { token: String(token), keep: String(keepMs) } });
  }

  /** Calls `pushed` for each grant that another process' release made to this one. */
  onPush(pushed: (grant: Pushed) => void): void {
    this.#connection.inbox.on('lock', (parts) => {
      const [lock = '', nonce = '', owner = '', token, validMs] = parts.map((part) => part.toString());
      const keys = keysBeside(this.#keyspace, lock);
      pushed({ identity: { keys, nonce, owner }, token: Number(token), validMs: Number(validMs) });
    });
  }

  /** Calls `resync` whenever pushes or answers may have been lost. */
  onResync(resync: () => void): void {
    this.#connection.inbox.onResync(resync);
    this.#connection.commands.onUp(resync);
  }

  #acquire({ keys, nonce, owner, ttlMs }: LockRequest, wait: 0 | 1): Promise<Acquired> {
    const { commands, inbox } = this.#connection;
    return acquire.run(commands, {
      keys,
      args: { nonce, owner, ttl: String(ttlMs), who: this.#who, inbox: inbox.channel, wait },
    });
  }
}
