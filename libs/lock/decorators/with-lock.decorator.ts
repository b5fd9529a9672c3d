import 'reflect-metadata';
import { inspect } from 'node:util';
import {
  SluiceError,
  isSluiceError,
  weaveMethod,
  type AsyncMethodDecorator,
  type KeyFunction,
  type Weaver,
  type WovenCall,
  type WovenSite,
} from '../../weave/index.js';
import { CRON_METADATA, type CronMetadata, type CronTick } from '../cron/cron-jobs.js';
import { isLockTimeout, type LockTimeoutError } from '../lock.errors.js';
import type { AcquireOptions } from '../lock.options.js';
import type { LockService } from '../lock.service.js';
import { LOCK_SERVICE } from '../lock.tokens.js';
import type { Lock } from '../held/lock.js';
import { resolveWithLock, type ResolvedWithLock, type WithLockOptions } from './with-lock.options.js';

/** Present on methods with `@Cron`, `@Interval` or `@Timeout` of @nestjs/schedule. */
const SCHEDULER_TYPE = 'SCHEDULER_TYPE';
/** The metadata that `@Interval` sets on its method. `timeout` is the length of the interval. */
const INTERVAL_METADATA = 'SCHEDULE_INTERVAL_OPTIONS';
/** The part of an interval for which the lock stays held. The rest allows for late timers and for clocks that differ. */
const HELD_OF_INTERVAL = 0.9;

/**
 * Runs the method while it holds the named lock: one call at a time in the whole fleet. Inside the method, `currentLock()`
 * returns the `Lock`. An error that the method throws reaches the caller unchanged (`===`).
 *
 * - Methods without a scheduler wait up to `waitMs` (default 10 s). Then the call rejects with `LockTimeoutError`.
 * - `@Interval` and `@Timeout` methods do not wait: if the lock is busy, the call is skipped. The lock of an `@Interval` method
 *   stays held for 90 % of the interval (`minHoldMs`). So instances that started at different times together run the method once
 *   per interval, and not once each.
 * - `@Cron` methods run **once per tick**: the scheduled instant is marked as done before the run begins, so instances whose
 *   clocks differ, or that come when the first has already finished, skip it. If Redis is out of reach at that moment, it is
 *   asked again for up to `waitMs`. Instants are remembered per method. Two methods that share a lock's name exclude each
 *   other: if both are due at one instant, the one that finds the lock busy skips its tick.
 * - Only the call that the scheduler makes is a tick. Any other call of a `@Cron` method is an ordinary locked call.
 *
 * A result that goes on after the method returned is protected to its end: for Observables and async iterables the lock is
 * held until they complete, fail or are unsubscribed, for streams and `StreamableFile` until they close. If nothing reads
 * the result within `ttlMs`, the lock is released, and a later reader gets a `LockLostError`. Another result with a
 * `subscribe` or `pipe` method rejects with `SLUICE_BAD_RESULT`.
 *
 * Rejects with `LockLostError` if the method returned but the lock was lost while it ran. Rejects with `RedisUnavailableError` if
 * Redis does not answer: the body never runs unprotected. Bad names and options are refused when the class is defined.
 *
 * @example
 * @Cron('0 3 * * *')
 * @WithLock('daily_job')
 * async settle() {}
 *
 * @WithLock((order: Order) => `order:${order.id}`, { waitMs: 2_000 })
 * async ship(order: Order) {}
 */
export function WithLock<T extends object, A extends unknown[]>(
  name: string | KeyFunction<T, A>,
  options: WithLockOptions & { onBusy: 'skip' },
): AsyncMethodDecorator<T, A, undefined>;
export function WithLock<T extends object, A extends unknown[], V>(
  name: string | KeyFunction<T, A>,
  options: WithLockOptions & { onBusy: (error: LockTimeoutError) => V | Promise<V> },
): AsyncMethodDecorator<T, A, V>;
export function WithLock<T extends object, A extends unknown[]>(
  name: string | KeyFunction<T, A>,
  options?: WithLockOptions & { onBusy?: 'throw' },
): AsyncMethodDecorator<T, A>;
export function WithLock(name: string | KeyFunction<object, unknown[]>, given?: WithLockOptions): AsyncMethodDecorator {
  const options = resolveWithLock(name, given);
  const weaver: Weaver<LockService> = {
    decorator: '@WithLock',
    token: LOCK_SERVICE,
    holdsResults: true,
    check: (site, service) => {
      checkSite(site, options, service, typeof name === 'string' ? name : undefined);
    },
  };
  return weaveMethod(weaver, (service, call) => new LockedCall(service, call, name, options).run());
}

/** One call of a locked method. */
class LockedCall {
  readonly #service: LockService;
  readonly #call: WovenCall;
  readonly #name: string | KeyFunction<object, unknown[]>;
  readonly #options: ResolvedWithLock;

  constructor(
    service: LockService,
    call: WovenCall,
    name: string | KeyFunction<object, unknown[]>,
    options: ResolvedWithLock,
  ) {
    this.#service = service;
    this.#call = call;
    this.#name = name;
    this.#options = options;
  }

  async run(): Promise<unknown> {
    const call = this.#call;
    const name = typeof this.#name === 'string' ? this.#name : Reflect.apply(this.#name, call.self, call.args);
    let lock: Lock | undefined;
    // This block only takes the lock: a LockTimeoutError of a lock that the body takes is the body's error.
    try {
      lock = await this.#take(name);
    } catch (error) {
      if (isLockTimeout(error)) {
        const { onBusy = 'throw' } = this.#options;
        if (onBusy === 'throw') throw error;
        return onBusy === 'skip' ? undefined : onBusy(error);
      }
      if (typeof this.#name !== 'function' || !isSluiceError(error, 'SLUICE_BAD_NAME')) throw error;
      throw new SluiceError('SLUICE_BAD_NAME', `${call.site}: its function made a bad name: ${error.message}`);
    }
    return (
      lock &&
      this.#service.run(
        lock,
        () => call.proceed(),
        () => call.site,
      )
    );
  }

  /** Takes the lock. Undefined: a scheduler called, and the call is skipped. */
  #take(name: string): Promise<Lock | undefined> | undefined {
    const { acquire, oncePerTick = true } = this.#options;
    if (oncePerTick && this.#call.metadata(CRON_METADATA) !== undefined) {
      const tick = this.#service.tickOf(this.#call);
      return tick === 'by hand' ? this.#byHand(name, acquire) : this.#forTick(name, acquire, tick);
    }
    if (this.#call.metadata(SCHEDULER_TYPE) === undefined) return this.#service.acquire(name, acquire);
    return this.#scheduled(name, { ...this.#pace(), ...acquire }, undefined);
  }

  /**
   * Looks once more, after this turn: a scheduler whose first instant passed while it made the job calls at once, and registers the job
   * only then.
   */
  async #byHand(name: string, acquire: AcquireOptions | undefined): Promise<Lock | undefined> {
    await Promise.resolve();
    const tick = this.#service.tickOf(this.#call);
    return tick === 'by hand' ? this.#service.acquire(name, acquire) : this.#forTick(name, acquire, tick);
  }

  #forTick(
    name: string,
    acquire: AcquireOptions | undefined,
    tick: CronTick | 'missed',
  ): Promise<Lock | undefined> | undefined {
    if (tick !== 'missed') return this.#scheduled(name, acquire, tick);
    this.#service.skipMissed({ name, method: this.#site, tick: undefined });
    return undefined;
  }

  #scheduled(name: string, acquire: AcquireOptions | undefined, tick: CronTick | undefined): Promise<Lock | undefined> {
    const { onBusy = 'skip' } = this.#options;
    return this.#service.acquireScheduled({ name, method: this.#site, tick }, acquire, onBusy === 'skip');
  }

  get #site(): string {
    return `${this.#call.className}.${this.#call.method}`;
  }

  #pace(): { minHoldMs?: number } {
    const interval = this.#call.metadata(INTERVAL_METADATA) as { timeout: number } | undefined;
    return interval === undefined ? {} : { minHoldMs: interval.timeout * HELD_OF_INTERVAL };
  }
}

function checkSite(
  site: WovenSite,
  { oncePerTick }: ResolvedWithLock,
  service: LockService,
  lock: string | undefined,
): void {
  const { declaredBy, className, method } = site;
  const decorated: unknown = (declaredBy.prototype as Record<string, unknown>)[method];
  const metadata = (key: string): unknown =>
    typeof decorated === 'function' ? Reflect.getMetadata(key, decorated) : undefined;
  const cron = metadata(CRON_METADATA) as CronMetadata | undefined;
  const interval = metadata(INTERVAL_METADATA) as { timeout: number } | undefined;
  if (cron === undefined && oncePerTick === true) {
    throw new SluiceError(
      'SLUICE_BAD_OPTION',
      `@WithLock on ${className}.${method}: oncePerTick is for methods with @Cron, which this one is not`,
    );
  }
  const ticks = cron !== undefined && oncePerTick !== false;
  if (ticks) service.checkTicks(site, cron, lock);
  service.declare(`${className}.${method}`, lock, {
    ...(ticks && { oncePerTickOf: inspect(cron.cronTime) }),
    ...(interval && { everyMs: interval.timeout }),
  });
}
