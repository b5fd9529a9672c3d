import { count, flag, resolveOptions } from '../../weave/index.js';
import type { LocalLimits } from './local-tier.js';

/** Limits of the local tier. */
export interface LocalOptions extends Partial<LocalLimits> {
  /**
   * Also hears of what others than Sluice do to stored values (`redis-cli DEL`, a flush, eviction, expiry), through Redis'
   * client tracking on a further connection. Every write of any value then is a message to every process. Default false.
   */
  tracking?: boolean;
}

/** The same, complete. */
export interface ResolvedLocal extends LocalLimits {
  readonly tracking: boolean;
}

const LOCAL_DEFAULTS = { maxEntries: 10_000, maxBytes: 32 * 1024 * 1024 };

/** What the module says of the tier; `asked`: that it says so. Without limits there is none. */
export function localTier(given: unknown, path: string): { asked: boolean; limits: ResolvedLocal | undefined } {
  if (given === false) return { asked: false, limits: undefined };
  const limits = resolveOptions<ResolvedLocal>(path, given === true ? {} : given, {
    maxEntries: count(LOCAL_DEFAULTS.maxEntries),
    maxBytes: count(LOCAL_DEFAULTS.maxBytes),
    tracking: flag(false),
  });
  return { asked: given !== undefined, limits };
}
