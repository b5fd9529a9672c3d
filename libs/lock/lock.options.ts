import {
  AGE_MAX_MS,
  SluiceError,
  badOption,
  type Check,
  count,
  durationMs,
  flag,
  oneOf,
  optional,
  required,
  resolveOptions,
  text,
} from '../weave/index.js';
import type { LockStatsOptions } from './observe/lock.stats.js';
import { checkLockName } from './store/lock.keys.js';
import { processOf } from './store/owner.js';

/** How long a lock is held and waited for. */
export interface LockTimes {
  /**
   * The lease, in milliseconds: if the holder dies, the lock is free after this time. With `renew` the work itself may take
   * longer. At least 10, at most 2 147 483 647 (24.8 days).
   * Default 30 000.
   */
  ttlMs?: number;
  /** How long to wait for a lock that is held, in milliseconds. 0: do not wait. At most 24.8 days. Default 10 000. */
  waitMs?: number;
  /** Renew the lease, at a third of it, until the lock is released. Default true. */
  renew?: boolean;
  /**
   * Other calls get the lock no sooner than this time after the grant, in milliseconds, even if the lock was released earlier
   * (`held` is false from the release on). This is for work that must not be repeated at once. The time is measured on the
   * server's clock and holds only after a release: the lock of a holder that dies is free after its lease. At most 100 years.
   * Default 0; on `@Interval` methods 90 % of the interval.
   */
  minHoldMs?: number;
  /**
   * A lock that is held for longer than this, in milliseconds, is reported: in the log, on the channel `sluice:lock:overdue`, and
   * as `overdue` in `stats()`. At most 100 years. Default: none; on `@Cron` methods two periods of the schedule.
   */
  maxHoldMs?: number;
  /**
   * What happens after `maxHoldMs` besides the report. `'warn'`: nothing, the lock stays held. `'abort'`: the lock is lost,
   * with the reason `'overdue'`. The lock's `signal` aborts, and the lock is not renewed any more, so other calls get it when its
   * lease ends. Default `'warn'`.
   */
  onOverdue?: 'warn' | 'abort';
}

/** Options of `tryAcquire`, which never waits. */
export interface TryAcquireOptions extends Omit<LockTimes, 'waitMs'> {
  /** The value of the lock's key, for other clients to read. Default: unique per acquisition. */
  owner?: string;
  /** Cancels the acquisition: the call rejects with the signal's reason. It has no effect once the lock is held. */
  signal?: AbortSignal;
}

/** Options of `acquire` and `withLock`. */
export interface AcquireOptions extends LockTimes, TryAcquireOptions {}

export interface SluiceLockModuleOptions extends LockTimes {
  /** Options per lock name. They outrank the options of a call or a decorator, so that configuration can tune both. */
  names?: Record<string, LockTimes>;
  /** The name of a connection in `redis.connections`. Default: the default connection. */
  connection?: string;
  /**
   * When the app shuts down: how long work that holds a lock at that moment may go on, in milliseconds, before its `signal`
   * aborts. After that, the work has one more second, and then its lock is released. 0: the signals abort at once.
   * Default 10 000.
   *
   * If a lock is held for as long as the app runs, each shutdown takes this long, unless `drainMs` is 0.
   */
  drainMs?: number;
}

/** The options of a lock for which no others are given. */
const DEFAULTS = {
  ttlMs: 30_000,
  waitMs: 10_000,
  renew: true,
  minHoldMs: 0,
  maxHoldMs: Infinity,
  onOverdue: 'warn',
} as const;

const DRAIN_MS = 10_000;

/** A shorter lease is over before the answer of its grant is read, in milliseconds. */
const SHORTEST_LEASE_MS = 10;

const lease = durationMs(DEFAULTS.ttlMs, { min: SHORTEST_LEASE_MS });

const TIMES = {
  ttlMs: optional(lease),
  waitMs: optional(durationMs(DEFAULTS.waitMs, { min: 0 })),
  renew: optional(flag(DEFAULTS.renew)),
  minHoldMs: optional(durationMs(DEFAULTS.minHoldMs, { min: 0, max: AGE_MAX_MS })),
  maxHoldMs: optional(durationMs(DEFAULTS.maxHoldMs, { max: AGE_MAX_MS })),
  onOverdue: optional(oneOf(['warn', 'abort'], DEFAULTS.onOverdue)),
};

const signal: Check<AbortSignal | undefined> = (value, path) => {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw badOption(path, 'an AbortSignal', value);
};

/** An owner that Sluice made is refused: the holder with that owner relies on being the only one. */
export const ownerCheck: Check<string | undefined> = (value, path) => {
  const owner = text()(value, path);
  if (owner !== undefined && processOf(owner))
    throw badOption(path, 'a name of your own, not that of another lock', owner);
  return owner;
};

const times = (value: unknown, path: string): LockTimes => resolveOptions<LockTimes>(path, value, TIMES);

/** The checks of the options that a decorator and a call have in common. */
export const LOCK_TIMES_CHECKS = TIMES;

export interface ResolvedLockOptions extends Readonly<Required<LockTimes>> {
  readonly names: Readonly<Record<string, LockTimes>>;
  readonly connection: string | undefined;
  readonly drainMs: number;
}

const NO_NAMES: Readonly<Record<string, LockTimes>> = {};

/** Checks the module's options once, at boot. */
export function resolveLockOptions(given: SluiceLockModuleOptions | undefined): ResolvedLockOptions {
  const options = resolveOptions<SluiceLockModuleOptions>('lock', given, {
    ...TIMES,
    connection: text(),
    drainMs: optional(durationMs(DRAIN_MS, { min: 0 })),
    names: optional((names, path) => {
      if (typeof names !== 'object' || names === null || Array.isArray(names))
        throw badOption(path, 'an object of options by lock name', names);
      return Object.fromEntries(
        Object.entries(names).map(([name, value]) => [checkedKey(name, path), times(value, `${path}.${name}`)]),
      );
    }),
  });
  return { ...DEFAULTS, connection: undefined, names: NO_NAMES, drainMs: DRAIN_MS, ...options };
}

/** Checks a key of an object that has options by lock name. */
function checkedKey(name: string, path: string): string {
  try {
    return checkLockName(name);
  } catch (cause) {
    throw new SluiceError('SLUICE_BAD_OPTION', `${path}: ${(cause as Error).message}`, { cause });
  }
}

/** The options of one acquisition. */
export type ResolvedAcquire = Readonly<Required<LockTimes>> & Pick<AcquireOptions, 'owner' | 'signal'>;

/** Checks one call's options. They outrank the module's options, and the options for the lock's name outrank them. */
export function resolveAcquire(
  defaults: ResolvedLockOptions,
  name: string,
  call: string,
  given: AcquireOptions | undefined,
): ResolvedAcquire {
  const { ttlMs, waitMs, renew, minHoldMs, maxHoldMs, onOverdue, names } = defaults;
  const byName = names !== NO_NAMES && Object.hasOwn(names, name) ? names[name] : undefined;
  if (given === undefined && byName === undefined) return defaults;
  const options = callOptions(name, call, given);
  return { ttlMs, waitMs, renew, minHoldMs, maxHoldMs, onOverdue, ...options, ...byName };
}

function callOptions(name: string, call: string, given: AcquireOptions | undefined): AcquireOptions {
  try {
    return resolveOptions<AcquireOptions>(call, given, { ...TIMES, owner: ownerCheck, signal });
  } catch (error) {
    // If the name is wrong as well, the error is about the name, because the name is the first argument.
    checkLockName(name);
    throw error;
  }
}

/** Checks the length of a lease that is given on its own. */
export const checkTtl = required(lease);

const COUNTS = ['acquired', 'contended', 'waitedMs', 'heldMs', 'lost', 'timeouts', 'skipped', 'overdue'] as const;

/** Checks the options of a call of `stats`. */
export function resolveStats(given: LockStatsOptions | undefined): Readonly<Required<LockStatsOptions>> {
  const checks = { top: count(10), by: oneOf(COUNTS, 'waitedMs') };
  return resolveOptions<Required<LockStatsOptions>>('stats', given, checks);
}
