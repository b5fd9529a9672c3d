/**
 * Rate limits: `RateLimitService`. Never more than the limit in any window, in the whole fleet.
 *
 * - `deciding/` what a call is answered: by Redis, from memory, or without Redis
 * - `local/` counters of this process alone
 * - `store/` keys and scripts: everything that is sent to Redis
 * - `observe/` channels, `stats()`
 *
 * @see docs/internals/limit.md
 * @packageDocumentation
 */

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
  SluiceLimitModuleOptions,
  TakeOptions,
} from './limit.options.js';
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
