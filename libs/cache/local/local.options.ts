import { count, flag, resolveOptions } from '../../weave/index.js';
import type { LocalLimits } from './local-tier.js';

/**
 * Limits of the local tier. Defaults: 10,000 entries, 32 MiB.
 *
 * @example
 * SluiceModule.forRoot({ cache: { local: { maxEntries: 50_000, maxBytes: 128 * 1024 * 1024 } } })
 */
export interface LocalOptions extends Partial<LocalLimits> {
  /**
   * Removes copies also when another client than Sluice changes stored values (`redis-cli DEL`, a flush, eviction, expiry). Uses
   * Redis' client tracking on a further connection. Each write of a value then sends a message to each process. Default false.
   */
  tracking?: boolean;
}

/** {@link LocalOptions} with all defaults. */
export interface ResolvedLocal extends LocalLimits {
  readonly tracking: boolean;
}

const LOCAL_DEFAULTS = { maxEntries: 10_000, maxBytes: 32 * 1024 * 1024 };

/** Reads the module's option `local`. `asked`: the option was given. Without `limits` there is no local tier. */
export function localTier(given: unknown, path: string): { asked: boolean; limits: ResolvedLocal | undefined } {
  if (given === false) return { asked: false, limits: undefined };
  const limits = resolveOptions<ResolvedLocal>(path, given === true ? {} : given, {
    maxEntries: count(LOCAL_DEFAULTS.maxEntries),
    maxBytes: count(LOCAL_DEFAULTS.maxBytes),
    tracking: flag(false),
  });
  return { asked: given !== undefined, limits };
}
