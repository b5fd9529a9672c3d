import type { Keyspace, RedisConnection } from '../../redis/index.js';
import { holderKey, keysBeside, lockRights, tickKey, waitersKey, type LockKeys } from './lock.keys.js';
import type { LockIdentity, LockRequest } from './lock-request.js';
import { acquireTickScript } from './scripts/acquire-tick.script.js';
import type { LockHolder } from '../lock.inspection.js';
import { beginTickScript } from './scripts/begin-tick.script.js';
import { tokenIn, type Acquired, type AcquiredTick } from './scripts/acquire.reply.js';
import { acquireScript } from './scripts/acquire.script.js';
import { fencedDeleteScript, fencedSetScript, type Seen } from './scripts/fenced.scripts.js';
import { forceReleaseScript } from './scripts/force-release.script.js';
import { heartbeatScript, type Heartbeat } from './scripts/heartbeat.script.js';
import { inspectScript, type Inspected } from './scripts/inspect.script.js';
import { rawExtendScript, rawReleaseScript } from './scripts/raw.scripts.js';
import { releaseScript, type Released } from './scripts/release.script.js';
import { renewScript } from './scripts/renew.script.js';

/** A scheduled instant for which a method has to run once in the fleet. */
export interface Tick {
  /** The method: `Class.method`. Several methods may share a lock, and each has instants of its own. */
  readonly method: string;
  readonly instantMs: number;
  /** How long the instant's mark is kept. */
  readonly keepMs: number;
}

/** A grant that was pushed to this process. */
export interface PushedGrant {
  readonly identity: LockIdentity;
  readonly token: number;
  readonly validMs: number;
}

/** A lock was taken away from the acquisition that held it under this token. */
export interface ForcedRelease {
  readonly nonce: string;
  readonly token: number;
}

/** Some waiters of this process on one lock; none: the lock has to be passed on. */
export interface WaitersOfLock {
  readonly keys: LockKeys;
  readonly waiters: readonly { readonly request: LockRequest; readonly place: string }[];
}

/** A key of the user, and beside it the highest token that wrote it. */
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

/** All requests of locks to one Redis. Each request is one script, or one command. */
export class LockStore {
  readonly #connection: RedisConnection;
  readonly #keyspace: Keyspace;

  constructor(connection: RedisConnection, keyspace: Keyspace) {
    this.#connection = connection;
    connection.requireNoEviction('locks');
    connection.requireRights(lockRights(keyspace));
    this.#keyspace = keyspace;
  }

  /** Takes the lock, or joins its queue. Fails if no answer comes within `withinMs` or within the connection's own deadline. */
  join(request: LockRequest, withinMs: number): Promise<Acquired> {
    const { commands, inbox } = this.#connection;
    const timing = withinMs < commands.commandTimeoutMs ? { deadlineMs: withinMs } : NO_TIMING;
    return acquireScript.run(commands, acquisition(request, inbox.channel), timing);
  }

  /** Takes the lock if it is free. */
  attempt(request: LockRequest): Promise<Acquired> {
    return acquireScript.run(this.#connection.commands, acquisition(request, ''));
  }

  attemptTick(request: LockRequest, { method, instantMs, keepMs }: Tick): Promise<AcquiredTick> {
    const { keys, nonce, ttlMs } = request;
    const { lock, fence, queue, floor } = keys;
    return acquireTickScript.run(this.#connection.commands, {
      keys: { lock, fence, queue, tick: tickKey(this.#keyspace, keys, method) },
      args: { nonce, ttl: String(ttlMs), floor, instant: instantMs, keep: String(keepMs) },
      rest: given(request),
    });
  }

  /** Begins the run of a tick that was granted. False: the grant has ended, and the run must not begin. */
  beginTick(request: LockRequest, { method }: Tick): Promise<boolean> {
    const { keys, nonce, ttlMs } = request;
    const { lock, fence, queue } = keys;
    return beginTickScript.run(this.#connection.commands, {
      keys: { lock, fence, queue, tick: tickKey(this.#keyspace, keys, method) },
      args: { nonce, ttl: String(ttlMs) },
      rest: given(request),
    });
  }

  /** Splits items about locks into lists that one {@link heartbeat} may be about. */
  together<T>(items: readonly T[], keysOf: (item: T) => LockKeys): readonly (readonly T[])[] {
    return this.#connection.slots.split(items, (item) => keysOf(item).lock);
  }

  /**
   * Sends the heartbeats of waiters of this process. Resolves to an answer for each lock, in the same order.
   *
   * @param waiting returns the present waiters. If the server does not know the script, this function is called again, and must
   *   name the same locks: a waiter that was granted its lock and has released it meanwhile must not return to the queue.
   */
  heartbeat(waiting: () => readonly WaitersOfLock[]): Promise<Heartbeat[]> {
    const { commands, inbox } = this.#connection;
    const again = () => beats(waiting(), inbox.channel);
    return heartbeatScript.run(commands, again(), { again });
  }

  renew(identity: LockIdentity, ttlMs: number, generation: number, deadlineMs: number): Promise<boolean> {
    const { keys, nonce } = identity;
    const args = { nonce, ttl: String(ttlMs), asked: generation };
    return renewScript.run(this.#connection.commands, { keys, args, rest: given(identity) }, { deadlineMs });
  }

  /**
   * Releases the lock that this acquisition holds, or takes its place out of the queue.
   *
   * @param minHoldMs for how long since its grant the lock stays held; 0: not at all; undefined: as its first release said
   */
  release(identity: LockIdentity, minHoldMs: number | undefined, deadlineMs?: number): Promise<Released> {
    const rest = [String(minHoldMs ?? ''), ...given(identity)];
    return this.#release(identity, rest, deadlineMs);
  }

  /** The same for a lock without `minHoldMs` that was never extended: nothing is read or deleted beside the lock. */
  releasePlain(identity: LockIdentity, deadlineMs?: number): Promise<Released> {
    // The owner that a caller gave is kept in a record beside the lock.
    if (identity.owner !== identity.nonce) return this.release(identity, 0, deadlineMs);
    return this.#release(identity, NOTHING, deadlineMs);
  }

  #release({ keys, nonce }: LockIdentity, rest: readonly string[], deadlineMs: number | undefined): Promise<Released> {
    const timing = deadlineMs === undefined ? NO_TIMING : { deadlineMs };
    return releaseScript.run(this.#connection.commands, { keys, args: { nonce }, rest }, timing);
  }

  /** The holder of the lock and the waiters; null if the lock is free. */
  inspect(keys: LockKeys): Promise<Inspected | null> {
    const holder = holderKey(this.#keyspace, keys);
    const waiters = waitersKey(this.#keyspace, keys);
    return inspectScript.run(this.#connection.commands, { keys: { ...keys, holder, waiters }, args: {} });
  }

  /** Takes the lock away from its holder. Resolves to that holder; to undefined if the lock was free. */
  forceRelease(keys: LockKeys): Promise<LockHolder | undefined> {
    const { commands, inbox } = this.#connection;
    return forceReleaseScript.run(commands, { keys, args: { inboxes: inbox.prefix } });
  }

  /** Calls `forced` when a lock of this process was taken away. */
  onForced(forced: (what: ForcedRelease) => void): void {
    this.#connection.inbox.on('lock:forced', ([nonce = '', token]) => {
      forced({ nonce, token: Number(token) });
    });
  }

  async rawAcquire(lock: string, owner: string, ttlMs: number): Promise<boolean> {
    return (await this.#connection.commands.send('set', [lock, owner, 'PX', ttlMs, 'NX'])) === 'OK';
  }

  rawRelease(lock: string, owner: string): Promise<boolean> {
    return rawReleaseScript.run(this.#connection.commands, { keys: { lock }, args: { owner } });
  }

  rawExtend(lock: string, owner: string, ttlMs: number): Promise<boolean> {
    return rawExtendScript.run(this.#connection.commands, { keys: { lock }, args: { owner, ttl: String(ttlMs) } });
  }

  /** Writes the key. If a newer token has written it before, nothing is written, and the promise resolves to that token. */
  fencedSet(keys: FencedKey, { token, value, ttlMs, keepMs }: FencedSet): Promise<Seen> {
    const args = { token: String(token), value, ttl: String(ttlMs ?? ''), keep: String(keepMs) };
    return fencedSetScript.run(this.#connection.commands, { keys, args });
  }

  fencedDelete(keys: FencedKey, { token, keepMs }: FencedWrite): Promise<Seen> {
    return fencedDeleteScript.run(this.#connection.commands, {
      keys,
      args: { token: String(token), keep: String(keepMs) },
    });
  }

  /** Calls `pushed` for each grant that another process' release made to this one. */
  onPush(pushed: (grant: PushedGrant) => void): void {
    this.#connection.inbox.on('lock:granted', ([lock = '', nonce = '', owner = '', said, lasts = '']) => {
      const token = tokenIn(said);
      // This message is not from a script: no script grants a lock without a token, or for ever.
      if (token === undefined || !/^\d{1,10}$/.test(lasts)) return;
      pushed({ identity: { keys: keysBeside(this.#keyspace, lock), nonce, owner }, token, validMs: Number(lasts) });
    });
  }

  /** Calls `resync` whenever pushes or answers may have been lost. */
  onResync(resync: () => void): void {
    this.#connection.inbox.onResync(resync);
    this.#connection.commands.onUp(resync);
  }
}

const NO_TIMING = {};
const NOTHING: readonly string[] = [];

function acquisition(request: LockRequest, inbox: string) {
  const { keys, nonce, ttlMs } = request;
  return {
    keys,
    args: { nonce, ttl: String(ttlMs), floor: keys.floor, inbox },
    rest: given(request),
  };
}

function beats(waiting: readonly WaitersOfLock[], inbox: string) {
  const restKeys = waiting.flatMap(({ keys: { lock, fence, queue } }) => [lock, fence, queue]);
  const rest: (string | number)[] = [];
  for (const { waiters } of waiting) {
    rest.push(waiters.length);
    for (const { request, place } of waiters) {
      rest.push(request.nonce, request.owner, request.ttlMs, request.keys.floor, place);
    }
  }
  return { keys: {}, restKeys, args: { inbox }, rest };
}

/** The owner, where the nonce is not the owner. */
function given({ owner, nonce }: LockIdentity): readonly string[] {
  return owner === nonce ? NOTHING : [owner];
}
