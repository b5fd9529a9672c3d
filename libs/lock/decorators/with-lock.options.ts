import { badOption, flag, optional, resolveOptions, type Check } from '../../weave/index.js';
import type { LockTimeoutError } from '../lock.errors.js';
import { checkLockName } from '../store/lock.keys.js';
import { LOCK_TIMES_CHECKS, ownerCheck, type AcquireOptions, type LockTimes } from '../lock.options.js';

/** What to do when the lock is held by another at the end of the wait. */
export type OnBusy<V = unknown> = 'throw' | 'skip' | ((error: LockTimeoutError) => V | Promise<V>);

export interface WithLockOptions<V = unknown> extends LockTimes {
  /**
   * When the lock stays busy: `'throw'` the `LockTimeoutError`; `'skip'` the body and resolve to undefined; or
   * resolve to what this function returns. Default: `'skip'` for the calls of a scheduler, else `'throw'`.
   */
  onBusy?: OnBusy<V>;
  /**
   * `@Cron` methods only: run once per tick in the whole fleet, however short the job and however skewed the clocks.
   * With false, every instance that finds the lock free runs. Default true.
   */
  oncePerTick?: boolean;
  /** Who holds it, as other clients see it: the value of the lock's key. Default: unique per acquisition. */
  owner?: string;
}

const onBusyCheck: Check<OnBusy | undefined> = (value, path) => {
  if (value === undefined || value === 'throw' || value === 'skip' || typeof value === 'function') {
    return value as OnBusy | undefined;
  }
  throw badOption(path, "'throw', 'skip' or a function", value);
};

/** What the decorator was given, checked and taken apart. */
export interface ResolvedWithLock {
  readonly onBusy: OnBusy | undefined;
  readonly oncePerTick: boolean | undefined;
  readonly acquire: AcquireOptions;
}

/** Checks what the decorator was given, when the class is defined. */
export function resolveWithLock(name: unknown, given: WithLockOptions | undefined): ResolvedWithLock {
  if (typeof name !== 'function') checkLockName(name);
  const path = typeof name === 'string' ? `@WithLock('${name}')` : '@WithLock(…)';
  const { onBusy, oncePerTick, ...acquire } = resolveOptions<WithLockOptions>(path, given, {
    ...LOCK_TIMES_CHECKS,
    onBusy: onBusyCheck,
    oncePerTick: optional(flag(true)),
    owner: ownerCheck,
  });
  return { onBusy, oncePerTick, acquire };
}
