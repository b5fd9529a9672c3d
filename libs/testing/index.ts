/**
 * The tools for tests of apps: `SluiceTestingModule` without Redis, `TestingQueue`, `TestingClock`, `unprotected` for the body of
 * a method alone, `startRedis` for a private server, and `startSentinels` and `startCluster` for several.
 *
 * - `in-process/` the stores and the queue of `SluiceTestingModule`
 * - `faults/` a proxy that makes connections fail
 * - `servers/` real `redis-server` processes that end with the test
 *
 * @see docs/guide/testing.md
 * @packageDocumentation
 */

export { startRedis, type RedisServer } from './servers/redis-server.js';
export type { ServerOptions, StartRedisOptions } from './servers/redis-server.options.js';
export { startRedisServers } from './servers/redis-servers.js';
export {
  startSentinels,
  type SentinelClientOptions,
  type SentinelGroup,
  type StartSentinelsOptions,
} from './servers/sentinel-group.js';
export { startCluster, type RedisCluster, type StartClusterOptions } from './servers/redis-cluster.js';
export { FaultProxy } from './faults/fault-proxy.js';
export { CertificateAuthority, type IssuedCertificate, type IssueOptions } from './servers/certificate-authority.js';
export { SluiceTestingModule, type SluiceTestingOptions } from './sluice-testing.module.js';
export { TestingClock } from './in-process/testing-clock.js';
export { unprotected } from '../weave/index.js';
export { TestingQueue } from './in-process/testing-queue.js';
export type { DeadTask, PublishedTask } from './in-process/testing-tasks.js';
