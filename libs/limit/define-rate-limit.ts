import { checkName } from '../redis/index.js';
import { SluiceError } from '../weave/index.js';
import { checkDefinition, type RateLimitOptions, type RateLimitsOptions } from './limit.options.js';

/** A rate limit under its name: made by {@link defineRateLimit}. */
export interface RateLimitDefinition {
  readonly name: string;
  readonly options: Readonly<RateLimitOptions> | Readonly<RateLimitsOptions>;
}

/** A definition, or the name of one in the module's option `names`. */
export type RateLimitRef = RateLimitDefinition | string;

/**
 * Names a rate limit once, with its numbers, for all who charge it.
 *
 * Several `limits` of one definition are charged together or not at all, in one round trip. Configuration outranks the code:
 * `limit.names.login = { limit: 3 }`, and for one of several limits `limit.names['api.burst'] = { limit: 20 }`.
 *
 * One name has one definition in an app. Two definitions of the same plain values count as one.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
 * @example
 * export const Login = defineRateLimit('login', { limit: 5, perMs: 60_000 });
 * export const Api = defineRateLimit('api', {
 *   limits: { burst: { limit: 10, perMs: 1_000 }, daily: { limit: 1_000, window: 'day', timeZone: 'UTC' } },
 * });
 * export const Partner = defineRateLimit('partner', { limit: 100, perMs: 1_000, mode: 'pace' });
 */
export function defineRateLimit(name: string, options: RateLimitOptions | RateLimitsOptions): RateLimitDefinition {
  const checked = checkLimitName(name);
  return Object.freeze({ name: checked, options: checkDefinition(`defineRateLimit('${checked}')`, options) });
}

/** @throws SluiceError `SLUICE_BAD_NAME`: a dot would separate a limit's name from the name of one of its parts */
export function checkLimitName(name: unknown): string {
  const checked = checkName('rate limit', name);
  if (!/[.{}"]/.test(checked)) return checked;
  throw new SluiceError(
    'SLUICE_BAD_NAME',
    `rate limit name '${checked}' must be free of dots, braces and quotation marks`,
  );
}
