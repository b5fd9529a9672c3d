import type { LockManager } from '../acquiring/lock-manager.js';
import type { LockRequests } from '../acquiring/lock-requests.js';
import { Lock } from '../held/lock.js';
import { LockTimeoutError, isLockTimeout } from '../lock.errors.js';
import { resolveAcquire, type AcquireOptions, type ResolvedLockOptions } from '../lock.options.js';
import type { LockSkipReason } from '../observe/lock.channels.js';
import type { LockEvents } from '../observe/lock.events.js';
import type { LockHolder } from '../lock.inspection.js';
import type { LockStore, Tick } from '../store/lock.store.js';
import type { AcquiredTick } from '../store/scripts/acquire.reply.js';
import type { CronTick } from './cron-jobs.js';

/** One call that a scheduler made. */
export interface ScheduledCall {
  /** The lock's name. */
  readonly name: string;
  /** `Class.method`; undefined for `locks.oncePerTick`. */
  readonly method: string | undefined;
  /** Undefined: the call stands for no instant (`@Interval`, `@Timeout`, `oncePerTick: false`). */
  readonly tick: (Tick & Partial<CronTick>) | undefined;
}

export interface ScheduledCallsDeps {
  readonly options: ResolvedLockOptions;
  readonly requests: LockRequests;
  readonly store: LockStore;
  readonly manager: LockManager;
  readonly events: LockEvents;
}

/** Takes locks for the calls of a scheduler. Such a call is skipped where any other call would wait or fail. */
export class ScheduledCalls {
  readonly #deps: ScheduledCallsDeps;

  constructor(deps: ScheduledCallsDeps) {
    this.#deps = deps;
  }

  /**
   * Takes the lock for one call. Resolves to undefined if the call is skipped. A skipped call is counted and published.
   *
   * @param skipsBusy whether a call that finds the lock busy is skipped; otherwise the call rejects
   * @throws LockTimeoutError if the lock is busy
   */
  async acquire(
    call: ScheduledCall,
    options: AcquireOptions | undefined,
    skipsBusy: boolean,
  ): Promise<Lock | undefined> {
    const { manager, events } = this.#deps;
    const { name, method, tick } = call;
    // Another process can run this call. If the run began here, the shutdown might end it in the middle.
    if (manager.shutsDown) {
      this.skip(call, 'closing');
      return undefined;
    }
    try {
      const lock = tick ? await this.acquireTick(name, tick, options) : await this.#acquire(name, options);
      if (lock === null) this.skip(call, 'done');
      else if (tick) events.ticked(name, method);
      return lock ?? undefined;
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      if (skipsBusy) {
        this.skip(call, 'busy', error.holder);
        return undefined;
      }
      // The manager has already counted the timeout of a call that waited.
      if (error.waitedMs === 0) events.timedOut(error);
      throw error;
    }
  }

  /** Counts and publishes a skipped call. */
  skip({ name, method, tick }: ScheduledCall, reason: LockSkipReason, holder?: LockHolder): void {
    const instant = tick && new Date(tick.instantMs);
    this.#deps.events.skipped({ name, method, instant, reason, holder });
  }

  /**
   * Takes the lock for one scheduled instant. Resolves to null if the instant is done already. The call never waits for a holder.
   * But it waits up to `waitMs` for Redis: all instances call at the same moment, and if Redis was away then, none would run.
   *
   * @throws LockTimeoutError if the lock is held
   */
  async acquireTick(
    name: string,
    tick: Tick & Partial<CronTick>,
    options: AcquireOptions | undefined,
  ): Promise<Lock | null> {
    const { store, manager, requests } = this.#deps;
    const resolved = resolveAcquire(this.#deps.options, name, 'acquireTick', options);
    // A run that takes longer than two periods hangs. As long as it hangs, no instance runs the job, so it must be reported.
    const maxHoldMs = resolved.maxHoldMs === Infinity ? 2 * (tick.periodMs ?? Infinity) : resolved.maxHoldMs;
    const request = requests.make(name, { ...resolved, maxHoldMs });
    const { waitMs: patienceMs, signal } = resolved;
    const send = async (): Promise<AcquiredTick> => {
      signal?.throwIfAborted();
      const answer = await store.attemptTick(request, tick);
      if (answer.state !== 'granted') return answer;
      // From the next step on the tick belongs to this process.
      signal?.throwIfAborted();
      return (await store.beginTick(request, tick)) ? answer : { state: 'pending' };
    };
    const answer = await manager.attempt(request, { send, patienceMs, signal });
    if (answer instanceof Lock) return answer;
    if (answer.state === 'busy') throw new LockTimeoutError(name, 0, answer.holder);
    return null;
  }

  async #acquire(name: string, options: AcquireOptions | undefined): Promise<Lock> {
    const { store, manager, requests } = this.#deps;
    const resolved = resolveAcquire(this.#deps.options, name, 'acquire', { waitMs: 0, ...options });
    const request = requests.make(name, resolved);
    if (resolved.waitMs > 0) return manager.wait(request, resolved.waitMs, undefined);
    const answer = await manager.attempt(request, { send: () => store.attempt(request), patienceMs: 0 });
    if (answer instanceof Lock) return answer;
    throw new LockTimeoutError(name, 0, answer.holder);
  }
}
