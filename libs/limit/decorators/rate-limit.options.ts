import {
  badOption,
  durationMs,
  oneOf,
  optional,
  resolveOptions,
  type Check,
  type KeyFunction,
} from '../../weave/index.js';
import type { RateLimitRef } from '../define-rate-limit.js';
import { checkUnits } from '../limit.options.js';
import { isContextFunction, type ContextFunction } from './context-function.js';

/** Whose limit a call of a route counts for: the address of the client, or what the function makes of the call's context. */
export type RouteKey = 'ip' | ContextFunction<string>;

/** Which outcome keeps its units. Every call is charged before it runs; a call with the other outcome gets its units back. */
export type CountedOutcome = 'failures' | 'successes';

/** Which header fields tell HTTP clients about limits. */
export type RateLimitHeaders = 'draft' | 'x-ratelimit' | 'both' | 'none';

interface SharedDecoratorOptions {
  /**
   * Counts only the calls that fail, or only those that succeed. A call fails if it throws, or if a route answers with a status of
   * 400 or more. Calls are charged before they run, so that calls at the same time do not exceed the limit. Default: all count.
   */
  count?: CountedOutcome;
  /** With `mode: 'pace'`: how long a call may wait for its turn, in milliseconds. Default 10 000. */
  maxWaitMs?: number;
}

/** Options of `@RateLimit` on a route or on the class of routes. */
export interface RouteRateLimitOptions extends SharedDecoratorOptions {
  /**
   * Whose limit it is. `'ip'`: `request.ip`, IPv6 addresses by /64. Default: `limit.by` of the module, which is `'ip'` unless it is
   * given. A message of a microservice has no address.
   */
  by?: RouteKey;
  /** How many units a call takes. Default 1. */
  cost?: number | ContextFunction<number>;
}

/** Options of `@RateLimit` on a method that is not a route. */
export interface MethodRateLimitOptions<T, A extends unknown[]> extends SharedDecoratorOptions {
  /** Whose limit it is, from the method's object (`this`) and arguments. Default: all calls share one count, under the key `all`. */
  by?: KeyFunction<T, A>;
  /** How many units a call takes, or a function of the method's arguments. Default 1. */
  cost?: number | ((this: T, ...args: A) => number);
}

type AnyFunction = (...args: never[]) => unknown;

/** One use of `@RateLimit`, as it was checked when the class was defined. */
export interface DeclaredLimit {
  readonly refs: readonly RateLimitRef[];
  readonly by: 'ip' | AnyFunction | undefined;
  readonly cost: number | AnyFunction | undefined;
  readonly count: CountedOutcome | undefined;
  readonly maxWaitMs: number | undefined;
}

const byCheck: Check<DeclaredLimit['by']> = (value, path) => {
  if (value === undefined || value === 'ip' || typeof value === 'function') return value as DeclaredLimit['by'];
  throw badOption(path, "'ip' or a function", value);
};

const costCheck: Check<DeclaredLimit['cost']> = (value, path) =>
  typeof value === 'function' ? (value as AnyFunction) : checkUnits(value, path);

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function resolveRateLimit(limits: unknown, given: object | undefined): DeclaredLimit {
  const { by, cost, count, maxWaitMs } = resolveOptions<Omit<Partial<DeclaredLimit>, 'refs'>>('@RateLimit', given, {
    by: byCheck,
    cost: costCheck,
    count: optional(oneOf(['failures', 'successes'], 'failures')),
    maxWaitMs: optional(durationMs(0, { min: 0 })),
  });
  return { refs: refsOf(limits, '@RateLimit'), by, cost, count, maxWaitMs };
}

/** The rate limits of a decorator or an option: one, or a list. What each is, the boot checks. */
export function refsOf(limits: unknown, path: string): readonly RateLimitRef[] {
  const refs = Array.isArray(limits) ? (limits as unknown[]) : [limits];
  if (refs.length > 0 && refs.every((ref) => typeof ref === 'string' || (typeof ref === 'object' && ref !== null)))
    return refs as RateLimitRef[];
  throw badOption(path, 'a rate limit, its name, or a list of these', limits);
}

/** Checks `limit.by`. */
export const routeKeyCheck: Check<RouteKey> = (value, path) => {
  if (value === undefined || value === 'ip') return 'ip';
  if (isContextFunction(value)) return value as ContextFunction<string>;
  throw badOption(path, "'ip' or fromContext((context) => …)", value);
};
