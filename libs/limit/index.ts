/**
 * Rate limits: `RateLimitService`, `@RateLimit`, `RateLimitGuard`. Never more than the limit in any window, in the whole fleet.
 *
 * - `decorators/` what is limited: routes and other methods
 * - `routes/` the guard, and what callers of routes are answered
 * - `deciding/` what a call is answered: by Redis, from memory, or without Redis
 * - `local/` counters of this process alone
 * - `store/` keys and scripts: everything that is sent to Redis
 * - `observe/` channels, `stats()`
 *
 * @see docs/internals/limit.md
 * @packageDocumentation
 */

export { addressKey } from './routes/client-address.js';
export { fromContext, type ContextFunction } from './decorators/context-function.js';
export { RateLimit, type RateLimitDecorator } from './decorators/rate-limit.decorator.js';
export { RateLimitGuard } from './routes/rate-limit.guard.js';
export { RateLimitInterceptor } from './routes/rate-limit.interceptor.js';
export type {
  CountedOutcome,
  MethodRateLimitOptions,
  RateLimitHeaders,
  RouteKey,
  RouteRateLimitOptions,
} from './decorators/rate-limit.options.js';
export { SkipRateLimit } from './decorators/skip-rate-limit.decorator.js';
export { defineRateLimit, type RateLimitDefinition, type RateLimitRef } from './define-rate-limit.js';
export { RateLimitedError } from './limit.errors.js';
export { SluiceLimitModule } from './limit.module.js';
export type {
  CalendarUnit,
  ConsumeOptions,
  LimitNumbers,
  LimitOfKey,
  NamedLimitOptions,
  OnUnavailable,
  RateLimitOptions,
  RateLimitsOptions,
  SharedLimitOptions,
  TakeOptions,
} from './limit.options.js';
export type { SluiceLimitModuleOptions } from './limit-module.options.js';
export { LIMIT_SERVICE } from './limit.tokens.js';
export {
  LIMIT_CHANNELS,
  type LimitMessages,
  type RateLimitMessage,
  type RateLimitNearedMessage,
  type RateLimitRefusedMessage,
  type RateLimitUndecidedMessage,
} from './observe/limit.channels.js';
export type { LimitCounts, LimitStats, NamedLimitCounts } from './observe/limit.stats.js';
export type { LimitState, RateLimitDecision, Reservation } from './rate-limit-decision.js';
export { RateLimitService } from './rate-limit.service.js';
