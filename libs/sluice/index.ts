export { SluiceExceptionFilter } from './sluice-exception.filter.js';
export {
  SluiceModule,
  type SluiceAsyncOptions,
  type SluiceFeature,
  type SluiceStaticOptions,
} from './sluice.module.js';
export type { SluiceOptions } from './sluice.options.js';
export * from '../lock/index.js';
export * from '../cache/index.js';
export * from '../queue/index.js';
export {
  REDIS_CONNECTIONS,
  RedisConnections,
  RedisUnavailableError,
  SluiceRedisModule,
  type ConnectionOptions,
  type RedisOptions,
  type SluiceRedisModuleOptions,
} from '../redis/index.js';
export { SluiceError, bindSluice, isSluiceError, type SluiceErrorCode } from '../weave/index.js';
