import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { REDIS_CONNECTIONS, type Keyspace, type RedisConnections } from '../redis/index.js';
import { badOption, brandService, type WovenCall, type WovenSite } from '../weave/index.js';
import { LONGEST_MARK_MS } from './cron/cron-instants.js';
import { CronJobs, type CronMetadata, type CronTick } from './cron/cron-jobs.js';
import { ScheduledCalls, type ScheduledCall } from './cron/scheduled-calls.js';
import { FencedKeys } from './fenced-keys.js';
import { DeclaredLocks, type Schedule } from './observe/declared-locks.js';
import { LockEvents } from './observe/lock.events.js';
import type { LockInspection } from './lock.inspection.js';
import { inspectionOf } from './observe/inspection-of.js';
import { checkLockName, lockKeys } from './store/lock.keys.js';
import { LockManager } from './acquiring/lock-manager.js';
import { LockRequests } from './acquiring/lock-requests.js';
import { LockTimeoutError } from './lock.errors.js';
import {
  resolveAcquire,
  resolveLockOptions,
  resolveStats,
  type AcquireOptions,
  type SluiceLockModuleOptions,
  type ResolvedLockOptions,
  type TryAcquireOptions,
} from './lock.options.js';
import type { LockRequest } from './store/lock-request.js';
import type { LockStats, LockStatsOptions } from './observe/lock.stats.js';
import { RawLock } from './lock.raw.js';
import { Lock } from './held/lock.js';
import type { LockStore, Tick } from './store/lock.store.js';
import { LOCK_OPTIONS, LOCK_SERVICE, LOCK_STORE } from './lock.tokens.js';

/**
 * Named locks, one holder at a time in the whole fleet.
 *
 * The intervals from a grant to the sending of the release, or to the end of the validity, never overlap for one name, unless
 * Redis loses data, its clock steps, or the key is deleted. Waiters are served first come, first served, by a push.
 *
 * @example
 * constructor(private readonly locks: LockService) {}
 * await this.locks.withLock(`order:${id}`, (lock) => this.ship(id, lock.signal));
 */
@Injectable()
export class LockService implements OnApplicationBootstrap {
  /** Redis' plain lock recipe on the lock's key, for use beside clients in other languages. */
  readonly raw: RawLock;
  /** Writes to your own keys that only the newest holder of a lock may make. */
  readonly fenced: FencedKeys;
  readonly #options: ResolvedLockOptions;
  readonly #keyspace: Keyspace;
  readonly #requests: LockRequests;
  readonly #store: LockStore;
  readonly #events: LockEvents;
  readonly #manager: LockManager;
  readonly #cronJobs: CronJobs;
  readonly #scheduled: ScheduledCalls;
  readonly #declared: DeclaredLocks;
  readonly #warn: (message: string) => void;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(LOCK_OPTIONS) options: SluiceLockModuleOptions | undefined,
    @Inject(LOCK_STORE) store: LockStore,
    @Inject(CronJobs) cronJobs: CronJobs,
  ) {
    const { keyspace, clock, processId, logger, shutdown } = connections;
    this.#options = resolveLockOptions(options);
    this.#keyspace = keyspace;
    this.#cronJobs = cronJobs;
    this.#warn = (message) => {
      logger.warn(message);
    };
    this.#declared = new DeclaredLocks((line) => {
      logger.log(line);
    });
    this.#store = store;
    this.#events = new LockEvents(clock, logger);
    const manager = new LockManager(clock, this.#store, this.#events, (error, name) => {
      logger.error(`${name}: ${String(error)}`);
    });
    this.#manager = manager;
    this.#requests = new LockRequests(keyspace, processId, manager);
    this.#scheduled = new ScheduledCalls({
      options: this.#options,
      requests: this.#requests,
      store,
      manager,
      events: this.#events,
    });
    this.raw = new RawLock(keyspace, store);
    this.fenced = new FencedKeys(keyspace, store);
    shutdown.onDrain(() => manager.drain(this.#options.drainMs));
    shutdown.onClose(() => manager.close());
    brandService(this, LOCK_SERVICE);
  }

  /**
   * Takes the lock. Waits for the lock at most `waitMs` (default 10 s), in the order of arrival.
   *
   * @throws LockTimeoutError if the lock was not free in time; the error names the holder, and since when it holds the lock
   * @throws RedisUnavailableError if Redis did not answer at the end of the wait
   * @throws the signal's reason, if `options.signal` aborts first
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`, `SLUICE_CLOSED`; `SLUICE_LOCK_HELD_BY_CALLER` inside a body that
   *   runs under this lock: locks are not reentrant
   */
  acquire(name: string, options?: AcquireOptions): Promise<Lock> {
    try {
      const resolved = resolveAcquire(this.#options, name, 'acquire', options);
      const request = this.#requests.make(name, resolved);
      const { waitMs, signal } = resolved;
      signal?.throwIfAborted();
      return waitMs > 0 ? this.#manager.wait(request, waitMs, signal) : this.#now(request, signal);
    } catch (error) {
      return rejected(error);
    }
  }

  async #now(request: LockRequest, signal: AbortSignal | undefined): Promise<Lock> {
    const answer = await this.#attempt(request, signal);
    if (answer instanceof Lock) return answer;
    const timeout = new LockTimeoutError(request.name, 0, answer.holder);
    this.#events.timedOut(timeout);
    throw timeout;
  }

  /**
   * Takes the lock if it is free and no call waits for it. Otherwise resolves to null. Never waits.
   *
   * @throws RedisUnavailableError if Redis did not answer
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`, `SLUICE_CLOSED`
   */
  async tryAcquire(name: string, options?: TryAcquireOptions): Promise<Lock | null> {
    const resolved = resolveAcquire(this.#options, name, 'tryAcquire', options);
    const request = this.#requests.make(name, resolved);
    resolved.signal?.throwIfAborted();
    const answer = await this.#attempt(request, resolved.signal);
    return answer instanceof Lock ? answer : null;
  }

  /**
   * Takes the lock, runs `body`, and releases the lock however the body ends. Resolves to the value that the body returned. An
   * error that the body throws comes back as the same object (`===`).
   *
   * @throws LockLostError if the body returned, but the lock had been lost by then; or if it had been lost before the body
   *   could begin (a blocked event loop, a forced release)
   * @throws as `acquire`, if the lock was not granted
   */
  withLock<T>(name: string, body: (lock: Lock) => T | Promise<T>): Promise<T>;
  withLock<T>(name: string, options: AcquireOptions, body: (lock: Lock) => T | Promise<T>): Promise<T>;
  async withLock<T>(
    name: string,
    ...rest: [(lock: Lock) => T | Promise<T>] | [AcquireOptions, (lock: Lock) => T | Promise<T>]
  ): Promise<T> {
    const [options, body] = rest.length === 1 ? [undefined, rest[0]] : rest;
    checkBody(body, 'withLock', name);
    const lock = await this.acquire(name, options);
    return this.run(
      lock,
      () => body(lock),
      () => `withLock('${name}')`,
    );
  }

  /**
   * The holder of the lock, since when, where and with which token it holds the lock, and the calls that wait. Resolves to
   * null if the lock is free. The call changes nothing, and its answer may be out of date when it arrives.
   *
   * @throws RedisUnavailableError if Redis did not answer
   * @throws SluiceError `SLUICE_BAD_NAME`
   * @example
   * const held = await locks.inspect('daily_job');
   * if (held) console.log(`${held.owner} on ${held.host} for ${held.ageMs} ms; ${held.waiting} wait`);
   */
  async inspect(name: string): Promise<LockInspection | null> {
    const found = await this.#store.inspect(lockKeys(this.#keyspace, name));
    return found && inspectionOf(found);
  }

  /**
   * Takes the lock away from its holder, and hands it to the first waiter in the same step. Resolves to false if the lock was
   * free. This method is for an operator who knows that the holder is stuck. **Exclusion ends here**: the holder may be at work.
   *
   * The holder's `signal` aborts at once (`LockLostError`, `reason: 'forced'`), or at its next renewal if that message is lost.
   * Later renewals and releases by this holder change nothing. Tokens go on rising, so a resource that checks tokens refuses the
   * late writes of this holder. A holder of the plain recipe gets no message.
   *
   * @throws RedisUnavailableError if Redis did not answer. The call is not repeated: a repeat might hit the next holder
   * @throws SluiceError `SLUICE_BAD_NAME`
   */
  async forceRelease(name: string): Promise<boolean> {
    const holder = await this.#store.forceRelease(lockKeys(this.#keyspace, name));
    if (holder) this.#events.forced(name, holder);
    return holder !== undefined;
  }

  /**
   * What this process has done with locks since it started, in total and for the locks used most. Sends nothing to Redis.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`
   * @example
   * const { acquired, contended, names } = locks.stats({ top: 5, by: 'contended' });
   */
  stats(options?: LockStatsOptions): LockStats {
    const { top, by } = resolveStats(options);
    const { tally } = this.#events;
    const { held, waiting } = this.#manager;
    return { ...tally.totals, held, waiting, names: tally.top(top, by) };
  }

  /**
   * @internal As `withLock`, under a lock that is held already.
   * @param site the method or call as messages name it
   */
  run<T>(lock: Lock, body: () => T | Promise<T>, site: () => string): Promise<T> {
    return this.#manager.run(lock, body, site);
  }

  /**
   * Runs `body` once for this instant in the whole fleet. `@Cron` with `@WithLock` does the same; this method is for jobs that
   * are added while the app runs. Call it in every process, with the instant for which the job was scheduled. Resolves to the
   * value that the body returned; to undefined if the instant, or a later one, is done already, or if the lock is held.
   *
   * At most once: a run that dies is not repeated. The name's last instant is remembered for 25 hours.
   *
   * @param instant a Date, or Unix milliseconds: the same in every process. Not the time of the call
   * @throws RedisUnavailableError if Redis did not answer within `waitMs`: the body may have run in another process
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`, `SLUICE_CLOSED`, `SLUICE_LOCK_HELD_BY_CALLER`
   * @example
   * const job = CronJob.from({
   *   cronTime: plan.expression,
   *   onTick: () => locks.oncePerTick(`plan:${plan.id}`, job.lastDate()!.setMilliseconds(0), () => this.run(plan)),
   * });
   * registry.addCronJob(plan.id, job);
   */
  oncePerTick<T>(name: string, instant: Date | number, body: (lock: Lock) => T | Promise<T>): Promise<T | undefined>;
  oncePerTick<T>(
    name: string,
    instant: Date | number,
    options: AcquireOptions,
    body: (lock: Lock) => T | Promise<T>,
  ): Promise<T | undefined>;
  async oncePerTick<T>(
    name: string,
    instant: Date | number,
    ...rest: [(lock: Lock) => T | Promise<T>] | [AcquireOptions, (lock: Lock) => T | Promise<T>]
  ): Promise<T | undefined> {
    const [options, body] = rest.length === 1 ? [undefined, rest[0]] : rest;
    checkLockName(name);
    checkBody(body, 'oncePerTick', name);
    const tick = { method: 'oncePerTick', instantMs: checkInstant(instant), keepMs: LONGEST_MARK_MS };
    const lock = await this.#scheduled.acquire({ name, method: undefined, tick }, options, true);
    return (
      lock &&
      this.run(
        lock,
        () => body(lock),
        () => `oncePerTick('${name}')`,
      )
    );
  }

  /** @internal Checks a `@Cron` method when the app boots; see `CronJobs.check`. */
  checkTicks(site: WovenSite, cron: CronMetadata, lock: string | undefined): void {
    this.#cronJobs.check(site, cron, lock);
  }

  /** @internal Warns about the entries of `lock.names` that no decorator names, once all decorators have been seen. */
  onApplicationBootstrap(): void {
    this.#declared.sayUnnamed(Object.keys(this.#options.names), this.#warn);
  }

  /** @internal Called while the app boots, for each method that takes a lock. */
  declare(method: string, lock: string | undefined, schedule: Schedule): void {
    this.#declared.say(method, lock, schedule);
  }

  /** @internal For which scheduled instant a `@Cron` method is being called. */
  tickOf(call: WovenCall): CronTick | 'by hand' | 'missed' {
    return this.#cronJobs.tickOf(call);
  }

  /** @internal See `ScheduledCalls.acquire`. */
  acquireScheduled(
    call: ScheduledCall,
    options: AcquireOptions | undefined,
    skipsBusy: boolean,
  ): Promise<Lock | undefined> {
    return this.#scheduled.acquire(call, options, skipsBusy);
  }

  /** @internal Skips a tick that came more than 25 hours late: see `CronJobs.tickOf`. */
  skipMissed(call: ScheduledCall): void {
    this.#scheduled.skip(call, 'missed');
  }

  /** @internal See `ScheduledCalls.acquireTick`. */
  acquireTick(name: string, tick: Tick & Partial<CronTick>, options: AcquireOptions | undefined): Promise<Lock | null> {
    return this.#scheduled.acquireTick(name, tick, options);
  }

  #attempt(request: LockRequest, signal: AbortSignal | undefined) {
    return this.#manager.attempt(request, { send: () => this.#store.attempt(request), patienceMs: 0, signal });
  }
}

function checkBody(body: unknown, path: string, name: string): void {
  if (typeof body === 'function') return;
  checkLockName(name);
  throw badOption(`${path}: body`, 'a function', body);
}

function checkInstant(instant: unknown): number {
  const ms = instant instanceof Date ? instant.getTime() : instant;
  if (typeof ms === 'number' && Number.isSafeInteger(Math.floor(ms)) && ms > 0) return Math.floor(ms);
  throw badOption('oncePerTick: instant', 'a Date, or a number of Unix milliseconds', instant);
}

function rejected(error: unknown): Promise<never> {
  return new Promise(() => {
    throw error;
  });
}
