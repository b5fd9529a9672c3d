import 'reflect-metadata';
import {
  SluiceError,
  weaveMethod,
  type AsyncMethodDecorator,
  type KeyFunction,
  type Weaver,
  type WovenCall,
  type WovenSite,
} from '../../weave/index.js';
import { CRON_METADATA, type CronMetadata } from '../cron/cron-jobs.js';
import { isLockTimeout, type LockTimeoutError } from '../lock.errors.js';
import type { LockService } from '../lock.service.js';
import { LOCK_SERVICE } from '../lock.tokens.js';
import type { Tick } from '../store/lock.store.js';
import type { Lock } from '../held/lock.js';
import { resolveWithLock, type ResolvedWithLock, type WithLockOptions } from './with-lock.options.js';

/** Present on methods with `@Cron`, `@Interval` or `@Timeout` of @nestjs/schedule. */
const SCHEDULER_TYPE = 'SCHEDULER_TYPE';
/** What `@Interval` writes on its method: its length, as `timeout`. */
const INTERVAL_METADATA = 'SCHEDULE_INTERVAL_OPTIONS';
/** Of an interval: what is left over allows for timers that are late, and clocks that run apart. */
const HELD_OF_INTERVAL = 0.9;

/**
 * Runs the method while it holds the named lock: one at a time in the whole fleet. The lock's `Lock` is
 * `currentLock()` inside. What the method throws comes back `===`.
 *
 * - Elsewhere than under a scheduler it waits up to `waitMs` (default 10 s), then rejects with `LockTimeoutError`.
 * - `@Interval` and `@Timeout` methods do not wait: busy is skipped. An `@Interval`'s lock stays held for 90 % of the interval
 *   (`minHoldMs`), so instances that started at different times run it once per interval together, not once each.
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
 * Rejects with `LockLostError` when the method returned but the lock was lost while it ran, with
 * `RedisUnavailableError` when Redis does not answer: the body never runs unprotected. Bad names and options are refused
 * when the class is defined.
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
  return weaveMethod(weaver, (service, call) => {
    const lock = typeof name === 'string' ? name : Reflect.apply(name, call.self, call.args);
    return new LockedCall(service, call, lock, options).run();
  });
}

/** One call of a locked method. */
class LockedCall {
  readonly #service: LockService;
  readonly #call: WovenCall;
  readonly #name: string;
  readonly #options: ResolvedWithLock;

  constructor(service: LockService, call: WovenCall, name: string, options: ResolvedWithLock) {
    this.#service = service;
    this.#call = call;
    this.#name = name;
    this.#options = options;
  }

  async run(): Promise<unknown> {
    const { onBusy, oncePerTick = true } = this.#options;
    const tick =
      this.#call.metadata(CRON_METADATA) !== undefined && oncePerTick ? this.#service.tickOf(this.#call) : undefined;
    if (tick === 'missed') return undefined;
    const scheduled = tick === undefined ? this.#call.metadata(SCHEDULER_TYPE) !== undefined : tick !== 'by hand';

    let lock: Lock | null;
    // Only taking the lock stands in here: a LockTimeoutError of the body's own locks is the body's error.
    try {
      lock = await this.#take(typeof tick === 'object' ? tick : undefined, scheduled);
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      const policy = onBusy ?? (scheduled ? 'skip' : 'throw');
      if (policy === 'throw') throw error;
      return policy === 'skip' ? undefined : policy(error);
    }
    if (lock === null) return undefined;
    return this.#service.run(
      lock,
      () => this.#call.proceed(),
      () => this.#call.site,
    );
  }

  #take(tick: Tick | undefined, scheduled: boolean): Promise<Lock | null> {
    const { acquire } = this.#options;
    if (tick) return this.#service.acquireTick(this.#name, tick, acquire);
    return this.#service.acquire(this.#name, scheduled ? { waitMs: 0, ...this.#pace(), ...acquire } : acquire);
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
  const cron: unknown = typeof decorated === 'function' ? Reflect.getMetadata(CRON_METADATA, decorated) : undefined;
  if (cron !== undefined) {
    if (oncePerTick !== false) service.checkTicks(site, cron as CronMetadata, lock);
  } else if (oncePerTick === true) {
    throw new SluiceError(
      'SLUICE_BAD_OPTION',
      `@WithLock on ${className}.${method}: oncePerTick is for methods with @Cron, which this one is not`,
    );
  }
}
