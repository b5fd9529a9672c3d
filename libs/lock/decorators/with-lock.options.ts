import { badOption, flag, optional, resolveOptions, type Check } from '../../weave/index.js';
import type { LockTimeoutError } from '../lock.errors.js';
import { checkLockName } from '../store/lock.keys.js';
import { LOCK_TIMES_CHECKS, ownerCheck, type AcquireOptions, type LockTimes } from '../lock.options.js';

/** What to do when another holder has the lock at the end of the wait. */
export type OnBusy<V = unknown> = 'throw' | 'skip' | ((error: LockTimeoutError) => V | Promise<V>);

export interface WithLockOptions<V = unknown> extends LockTimes {
  /**
   * What happens when the lock stays busy. `'throw'`: the call rejects with the `LockTimeoutError`. `'skip'`: the body does not
   * run, and the call resolves to undefined. A function: the call resolves to the result of the function. Default: `'skip'` for
   * the calls of a scheduler, else `'throw'`.
   */
  onBusy?: OnBusy<V>;
  /**
   * For `@Cron` methods only: the method runs once per tick in the whole fleet, however short the job is and however much the
   * clocks differ. With false, the method runs in every instance that finds the lock free. Default true.
   */
  oncePerTick?: boolean;
  /** The holder, as other clients see it: the value of the lock's key. Default: unique per acquisition. */
  owner?: string;
}

const onBusyCheck: Check<OnBusy | undefined> = (value, path) => {
  if (value === undefined || value === 'throw' || value === 'skip' || typeof value === 'function') {
    return value as OnBusy | undefined;
  }
  throw badOption(path, "'throw', 'skip' or a function", value);
};

/** The decorator's options, checked and divided. */
export interface ResolvedWithLock {
  readonly onBusy: OnBusy | undefined;
  readonly oncePerTick: boolean | undefined;
  readonly acquire: AcquireOptions;
}

/** Checks the decorator's name and options, when the class is defined. */
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
