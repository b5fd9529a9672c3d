import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, type Keyspace, type RedisConnections } from '../redis/index.js';
import { brandService, type WovenCall } from '../weave/index.js';
import { CronJobs } from './cron-jobs.js';
import { lockKeys } from './lock.keys.js';
import { LockKeeper } from './lock.keeper.js';
import { LockTimeoutError } from './lock.errors.js';
import {
  resolveAcquire,
  resolveLockOptions,
  type AcquireOptions,
  type SluiceLockModuleOptions,
  type ResolvedAcquire,
  type ResolvedLockOptions,
  type TryAcquireOptions,
} from './lock.options.js';
import type { LockRequest } from './lock-request.js';
import { Lock } from './lock.js';
import type { LockStore, Tick } from './lock.store.js';
import { LOCK_OPTIONS, LOCK_SERVICE, LOCK_STORE } from './lock.tokens.js';

/**
 * Named locks, one holder at a time in the whole fleet.
 *
 * The intervals from a grant to the sending of the release, or to the end of the validity, never overlap for one name, unless
 * Redis loses data, its clock steps, or someone deletes the key. Waiters are served first come first, by a push.
 *
 * @example
 * constructor(private readonly locks: LockService) {}
 * await this.locks.withLock(`order:${id}`, (lock) => this.ship(id, lock.signal));
 */
@Injectable()
export class LockService {
  readonly #options: ResolvedLockOptions;
  readonly #keyspace: Keyspace;
  readonly #who: string;
  readonly #store: LockStore;
  readonly #keeper: LockKeeper;
  readonly #cronJobs: CronJobs;
  readonly #noncePrefix = randomBytes(9).toString('base64url');
  #acquisitions = 0;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(LOCK_OPTIONS) options: SluiceLockModuleOptions | undefined,
    @Inject(LOCK_STORE) store: LockStore,
    @Inject(CronJobs) cronJobs: CronJobs,
  ) {
    const { keyspace, clock, processId, logger, shutdown } = connections;
    this.#options = resolveLockOptions(options);
    this.#keyspace = keyspace;
    this.#who = processId;
    this.#cronJobs = cronJobs;
    this.#store = store;
    const keeper = new LockKeeper(clock, this.#store, (error, name) => {
      logger.error(`${name}: ${String(error)}`);
    });
    this.#keeper = keeper;
    shutdown.onClose(() => keeper.close());
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
    if (waitMs > 0) return this.#keeper.wait(request, waitMs, signal);
    const answer = await this.#attempt(request, signal);
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
    const answer = await this.#attempt(request, resolved.signal);
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

  /** @internal As `withLock`, under a lock that is held already. */
  run<T>(lock: Lock, body: () => T | Promise<T>): Promise<T> {
    return this.#keeper.run(lock, body);
  }

  /** @internal For which scheduled instant a `@Cron` method is being called. */
  tickOf(call: WovenCall): Tick | 'by hand' | 'missed' {
    return this.#cronJobs.tickOf(call);
  }

  /**
   * @internal Takes the lock for one scheduled instant; null if that is done already. It never waits for a holder, but
   * up to `waitMs` for Redis: every instance comes at the same moment, and if Redis is away just then, none would run.
   * @throws LockTimeoutError if the lock is held
   */
  async acquireTick(name: string, tick: Tick, options: AcquireOptions): Promise<Lock | null> {
    const resolved = resolveAcquire(this.#options, name, 'acquireTick', options);
    const request = this.#request(name, resolved);
    const answer = await this.#keeper.attempt(request, {
      send: () => this.#store.attemptTick(request, tick),
      patienceMs: resolved.waitMs,
    });
    if (answer instanceof Lock) return answer;
    if (answer.state === 'busy') throw new LockTimeoutError(name, 0, answer.holder);
    return null;
  }

  #attempt(request: LockRequest, signal: AbortSignal | undefined) {
    return this.#keeper.attempt(request, { send: () => this.#store.attempt(request), patienceMs: 0, signal });
  }

  #request(name: string, { ttlMs, renew, owner }: ResolvedAcquire): LockRequest {
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
}
