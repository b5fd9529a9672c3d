import { badOption, oneOf, optional, resolveOptions, text } from '../weave/index.js';
import { refsOf, routeKeyCheck, type RateLimitHeaders, type RouteKey } from './decorators/rate-limit.options.js';
import type { RateLimitRef } from './define-rate-limit.js';
import { NUMBERS, SHARED, mode, type NamedLimitOptions, type OnUnavailable } from './limit.options.js';

export interface SluiceLimitModuleOptions {
  /**
   * Options by the name of a rate limit, `login`, or of one of several limits, `api.burst`. They outrank the code, so that
   * configuration can tune it; a limit that is only here can be used by its name.
   */
  names?: Record<string, NamedLimitOptions>;
  /** What happens while Redis does not answer. Default `'local'`. */
  onUnavailable?: OnUnavailable;
  /** The share of a limit that this process enforces with `'local'` while the number of processes is unknown. Default 0.25. */
  fallbackShare?: number;
  /**
   * Rate limits of every route under a global `RateLimitGuard`, beside those that `@RateLimit` declares. `@SkipRateLimit` frees a
   * route of them. The boot fails if the app provides no `RateLimitGuard`. Default: none.
   *
   * @example
   * SluiceModule.forRoot({ limit: { routes: Api, by: fromContext((context) => userOf(context)) } })
   */
  routes?: RateLimitRef | readonly RateLimitRef[];
  /** Whose limit a call of a route counts for, unless the decorator says more. Default `'ip'`: the address of the client. */
  by?: RouteKey;
  /**
   * The header fields of HTTP responses. `'draft'`: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11.
   * `'x-ratelimit'`: `X-RateLimit-Limit`, `-Remaining`, `-Reset` (seconds). `'both'`, or `'none'`. A refusal has `Retry-After` in any
   * case. Default `'draft'`.
   */
  headers?: RateLimitHeaders;
  /** The name of a connection in `redis.connections`. Default: the default connection. */
  connection?: string;
}

const DEFAULTS = { onUnavailable: 'local', fallbackShare: 0.25 } as const;

/** What holds for all routes. */
export interface RouteOptions {
  readonly routes: readonly RateLimitRef[];
  readonly by: RouteKey;
  readonly headers: RateLimitHeaders;
}

export interface ResolvedLimitOptions {
  readonly names: Readonly<Record<string, NamedLimitOptions>>;
  readonly onUnavailable: OnUnavailable;
  readonly fallbackShare: number;
  readonly connection: string | undefined;
  readonly routing: RouteOptions;
}

/** Checks the module's options once, at boot. */
export function resolveLimitOptions(given: SluiceLimitModuleOptions | undefined): ResolvedLimitOptions {
  const { routes, by, headers, ...options } = resolveOptions<SluiceLimitModuleOptions>('limit', given, {
    names: optional((names, path) => {
      if (typeof names !== 'object' || names === null || Array.isArray(names))
        throw badOption(path, 'an object of options by the name of a rate limit', names);
      return Object.fromEntries(
        Object.entries(names).map(([name, value]) => [
          name,
          resolveOptions<NamedLimitOptions>(`${path}.${name}`, value, { ...NUMBERS, ...SHARED, mode }),
        ]),
      );
    }),
    onUnavailable: SHARED.onUnavailable,
    fallbackShare: optional((value, path) => {
      if (typeof value === 'number' && value > 0 && value <= 1) return value;
      throw badOption(path, 'a number above 0, at most 1', value);
    }),
    connection: text(),
    routes: optional(refsOf),
    by: optional(routeKeyCheck),
    headers: optional(oneOf(['draft', 'x-ratelimit', 'both', 'none'], 'draft')),
  });
  const routing = {
    routes: routes === undefined ? [] : refsOf(routes, 'limit.routes'),
    by: by ?? 'ip',
    headers: headers ?? 'draft',
  };
  return { ...DEFAULTS, names: {}, connection: undefined, ...options, routing };
}
