/**
 * The package's root export: `SluiceModule`, which brings all features on one configuration, and everything that users of
 * the features need. Each feature is also a subpath of its own (`nestjs-sluice/lock`, …).
 *
 * @see ARCHITECTURE.md
 * @packageDocumentation
 */

export { SluiceExceptionFilter } from './sluice-exception.filter.js';
export {
  SluiceModule,
  type SluiceAsyncOptions,
  type SluiceFeature,
  type SluiceStaticOptions,
} from './sluice.module.js';
export type { SluiceOptions } from './sluice.options.js';
export { subscribeSluice, type SluiceChannel, type SluiceMessages } from './subscribe-sluice.js';
export * from '../lock/index.js';
export * from '../cache/index.js';
export * from '../queue/index.js';
export * from '../limit/index.js';
export {
  NewerDataError,
  REDIS_CHANNELS,
  REDIS_CONNECTIONS,
  RedisConnections,
  RedisRefusedError,
  RedisUnavailableError,
  SluiceRedisModule,
  redisStatement,
  type ConnectionStats,
  type RedisAcceptingMessage,
  type RedisLostMessage,
  type RedisMessage,
  type RedisMessages,
  type RedisOutcome,
  type RedisRefusal,
  type RedisRefusingMessage,
  type RedisRestoredMessage,
  type ConnectionOptions,
  type CredentialsFunction,
  type RedisCredentials,
  type RedisOptions,
  type UnknownUse,
  type SluiceRedisModuleOptions,
} from '../redis/index.js';
export { SluiceError, bindSluice, isSluiceError, type SluiceErrorCode } from '../weave/index.js';
