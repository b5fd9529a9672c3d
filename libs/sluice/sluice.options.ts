import type { SluiceCacheModuleOptions } from '../cache/index.js';
import type { SluiceLimitModuleOptions } from '../limit/index.js';
import type { SluiceLockModuleOptions } from '../lock/index.js';
import type { SluiceQueueModuleOptions } from '../queue/index.js';
import { noOptions, type SluiceRedisModuleOptions } from '../redis/index.js';
import { resolveOptions } from '../weave/index.js';

/** The options of `SluiceModule`, from a literal, a factory or a class. Every part has working defaults. */
export interface SluiceOptions extends SluiceRedisModuleOptions {
  lock?: SluiceLockModuleOptions;
  cache?: SluiceCacheModuleOptions;
  queue?: SluiceQueueModuleOptions;
  limit?: SluiceLimitModuleOptions;
}

/**
 * Refuses option names that do not exist. Each feature module checks its own part.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`
 */
export function resolveSluiceOptions(given: SluiceOptions | undefined): SluiceOptions {
  if (given === undefined) throw noOptions('SluiceModule');
  const asGiven = (value: unknown): never => value as never;
  return resolveOptions<SluiceOptions>('SluiceModule', given, {
    namespace: asGiven,
    redis: asGiven,
    lock: asGiven,
    cache: asGiven,
    queue: asGiven,
    limit: asGiven,
  });
}
