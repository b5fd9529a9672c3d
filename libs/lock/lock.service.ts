import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import {
  REDIS_CONNECTIONS,
  RedisUnavailableError,
  type Clock,
  type Keyspace,
  type RedisConnections,
} from '../redis/index.js';
import { SluiceError, brandService } from '../weave/index.js';
import { runUnder } from './current-lock.js';
import { GiveBack, isTransient } from './give-back.js';
import { instantOf, remainingMs } from './instant.js';
import { lockKeys } from './lock.keys.js';
import { LockLostError, LockTimeoutError } from './lock.errors.js';
import {
  resolveAcquire,
  resolveLockOptions,
  type AcquireOptions,
  type LockOptions,
  type ResolvedAcquire,
  type ResolvedLockOptions,
  type TryAcquireOptions,
} from './lock.options.js';
import type { LockRequest } from './lock-request.js';
import { Lock, type Grant, type LockPort } from './lock.js';
import { LockStore, type Tick } from './lock.store.js';
import { LOCK_OPTIONS, LOCK_SERVICE } from './lock.tokens.js';
import type { AcquiredTick } from './scripts/acquire.reply.js';
import type { GaveUp, Waiter } from './waiter.js';
import { WaitingRoom } from './waiting-room.js';

/** How long the answer to a waiter that gives up may take: it says who holds the lock. */
const LEAVE_DEADLINE_MS = 1_000;
/** How long a shutdown waits for bodies that still run under a lock, once their signals are aborted. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Named locks, one holder at a time in the whole fleet.
 *
 * The intervals from a grant to the release, or to the end of the validity, never overlap for one name, unless Redis
 * loses data, its clock steps, or someone deletes the key. Waiters are served first come first, by a push.
 *
 * @example
 * constructor(private readonly locks: LockService) {}
 * await this.locks.withLock(`order:${id}`, async (lock) => this.ship(id, lock.signal));
 */
@Injectable()
export class LockService {
  readonly #options: ResolvedLockOptions;
  readonly #keyspace: Keyspace;
  readonly #clock: Clock;
  readonly #who: string;
  readonly #store: LockStore;
  readonly #room: WaitingRoom;
  readonly #giveBack: GiveBack;
  readonly #port: LockPort;
  readonly #held = new Map<string, Lock>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #noncePrefix = randomBytes(9).toString('base64url');
  #acquisitions = 0;
  #closed = false;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(LOCK_OPTIONS) options: LockOptions | undefined,
  ) {
    this.#options = resolveLockOptions(options);
    this.#keyspace = connections.keyspace;
    this.#clock = connections.clock;
    this.#who = connections.processId;
    const store = new LockStore(connections.get(this.#options.connection), connections.keyspace, connections.processId);
    this.#store = store;
    const onError = (error: unknown, name: string): void => {
      connections.logger.error(`${name}: ${String(error)}`);
    };
    this.#giveBack = new GiveBack(this.#clock, (identity) => store.release(identity), onError);
    this.#room = new WaitingRoom(this.#clock, store, onError);
    this.#port = {
      clock: this.#clock,
      renew: (request, ttlMs, deadlineMs) => store.renew(request, ttlMs, deadlineMs),
      release: (request) => this.#release(request),
      ended: (request) => this.#held.delete(request.nonce),
    };
    store.onPush(({ identity, token, validMs }) => {
      if (this.#room.pushed(identity.nonce, token, validMs) || this.#held.has(identity.nonce)) return;
      // Nobody waits for it any more, or its request was executed late: the next one should not wait for it to expire.
      this.#giveBack.add(identity, validMs);
    });
    store.onResync(() => {
      this.#giveBack.retry();
      this.#room.resync();
    });
    connections.shutdown.onClose(() => this.#close());
    brandService(this, LOCK_SERVICE);
  }

  /**
   * Takes the lock, waiting for it at most `waitMs` (default 10 s) in the order of arrival.
   *
   * @throws LockTimeoutError who holds it, since when
   * @throws RedisUnavailableError if Redis did not answer at the end of the wait
   * @throws the signal's reason, if `options.signal` aborts first
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`, `SLUICE_CLOSED`
   */
  async acquire(name: string, options?: AcquireOptions): Promise<Lock> {
    const resolved = resolveAcquire(this.#options, name, 'acquire', options);
    const request = this.#request(name, resolved);
    const { waitMs, signal } = resolved;
    signal?.throwIfAborted();
    if (waitMs > 0) {
      const grant = await this.#room.wait(
        request,
        waitMs,
        signal,
        (waiter, why) => void this.#gaveUp(waiter, why, waitMs),
      );
      return this.#hold(request, grant);
    }
    const answer = await this.#attempt(request, signal, () => this.#store.attempt(request));
    if (answer instanceof Lock) return answer;
    throw new LockTimeoutError(name, 0, answer.holder);
  }

  /**
   * Takes the lock if it is free and nobody waits for it; else null. Never waits.
   *
   * @throws RedisUnavailableError if Redis did not answer
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`, `SLUICE_CLOSED`
   */
  async tryAcquire(name: string, options?: TryAcquireOptions): Promise<Lock | null> {
    const resolved = resolveAcquire(this.#options, name, 'tryAcquire', options);
    const request = this.#request(name, resolved);
    resolved.signal?.throwIfAborted();
    const answer = await this.#attempt(request, resolved.signal, () => this.#store.attempt(request));
    return answer instanceof Lock ? answer : null;
  }

  /**
   * Runs `body` while it holds the lock, and releases it on every exit. Resolves to what the body returned; what it
   * throws comes back `===`.
   *
   * @throws LockLostError if the body returned, but the lock had been lost by then
   * @throws as `acquire`, if the lock was not granted
   */
  withLock<T>(name: string, body: (lock: Lock) => T | Promise<T>): Promise<T>;
  withLock<T>(name: string, options: AcquireOptions, body: (lock: Lock) => T | Promise<T>): Promise<T>;
  async withLock<T>(
    name: string,
    ...rest: [(lock: Lock) => T | Promise<T>] | [AcquireOptions, (lock: Lock) => T | Promise<T>]
  ): Promise<T> {
    const [options, body] = rest.length === 1 ? [undefined, rest[0]] : rest;
    const lock = await this.acquire(name, options);
    return this.run(lock, () => body(lock));
  }

  /** @internal Runs a body under a lock, in sight of the shutdown. */
  async run<T>(lock: Lock, body: () => T | Promise<T>): Promise<T> {
    const running = runUnder(lock, body);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /**
   * @internal Takes the lock for one scheduled instant; null if it is done already.
   * @throws LockTimeoutError if the lock is held
   */
  async acquireTick(name: string, tick: Tick, options?: AcquireOptions): Promise<Lock | null> {
    const resolved = resolveAcquire(this.#options, name, 'acquireTick', options);
    const request = this.#request(name, resolved);
    const answer = await this.#attempt(request, undefined, () => this.#store.attemptTick(request, tick));
    if (answer instanceof Lock) return answer;
    if (answer.state === 'busy') throw new LockTimeoutError(name, 0, answer.holder);
    return null;
  }

  #request(name: string, { ttlMs, renew, owner }: ResolvedAcquire): LockRequest {
    if (this.#closed) throw closed(name);
    const id = (++this.#acquisitions).toString(36);
    return {
      name,
      keys: lockKeys(this.#keyspace, name),
      nonce: `${this.#noncePrefix}.${id}`,
      owner: owner ?? `${this.#who}.${id}`,
      ttlMs,
      renew,
    };
  }

  /** One request, no waiting. */
  async #attempt<A extends AcquiredTick>(
    request: LockRequest,
    signal: AbortSignal | undefined,
    send: () => Promise<A>,
  ): Promise<Lock | Exclude<A, { state: 'granted' }>> {
    const from = instantOf(this.#clock);
    try {
      const answer = await send();
      if (answer.state !== 'granted') return answer as Exclude<A, { state: 'granted' }>;
      signal?.throwIfAborted();
      const grant = { token: answer.token, from, validMs: request.ttlMs, claimed: true };
      if (remainingMs(this.#clock, from, request.ttlMs) > 0) return this.#hold(request, grant);
      throw new LockLostError(request.name, 'expired');
    } catch (error) {
      // It may have been granted, or was and is not wanted.
      if (!(error instanceof RedisUnavailableError && error.outcome === 'not-sent'))
        this.#giveBack.add(request, request.ttlMs);
      throw error;
    }
  }

  #hold(request: LockRequest, grant: Grant): Lock {
    const lock = new Lock(request, grant, this.#port);
    this.#held.set(request.nonce, lock);
    if (!this.#closed) return lock;
    void lock.release().catch(() => {});
    throw closed(request.name);
  }

  /** A waiter's time is over. If it is being granted the lock just now, its release passes that on. */
  async #gaveUp(waiter: Waiter, why: GaveUp, waitMs: number): Promise<void> {
    const { request } = waiter;
    if (why.because === 'abort') {
      waiter.fail(why.reason);
      this.#giveBack.add(request, request.ttlMs);
      return;
    }
    try {
      const answer = await this.#store.release(request, LEAVE_DEADLINE_MS);
      waiter.fail(new LockTimeoutError(request.name, waitMs, answer.released ? undefined : answer.holder));
    } catch (error) {
      waiter.fail(waiter.trouble ?? error);
      this.#giveBack.add(request, request.ttlMs);
    }
  }

  async #release(request: LockRequest): Promise<boolean> {
    try {
      return (await this.#store.release(request)).released;
    } catch (error) {
      if (isTransient(error)) this.#giveBack.add(request, request.ttlMs);
      throw error;
    }
  }

  /** Waiters leave; whoever still works under a lock is told, and has a moment to end; then all locks go back. */
  async #close(): Promise<void> {
    this.#closed = true;
    const left = await this.#room.close();
    const leaving = left.map(async (waiter) => {
      waiter.fail(closed(waiter.request.name));
      await this.#store.release(waiter.request, LEAVE_DEADLINE_MS).catch(() => {});
    });
    const held = [...this.#held.values()];
    for (const lock of held) lock.close();
    if (this.#running.size > 0) await this.#grace();
    await Promise.all([...leaving, ...held.map((lock) => lock.release().catch(() => {}))]);
    await this.#giveBack.stop();
  }

  async #grace(): Promise<void> {
    const ended = Promise.allSettled(this.#running);
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.timer(CLOSE_GRACE_MS, resolve);
      void ended.then(() => {
        cancel();
        resolve();
      });
    });
  }
}

function closed(name: string): SluiceError {
  return new SluiceError('SLUICE_CLOSED', `lock '${name}' cannot be acquired: the app is shutting down`);
}
