/**
 * The tools for tests of apps: `SluiceTestingModule` without Redis, `TestingQueue`, `TestingClock`, `unprotected` for the body of
 * a method alone, and `startRedis` for a private server.
 *
 * - `in-process/` the stores and the queue of `SluiceTestingModule`
 * - `servers/` real `redis-server` processes that end with the test
 *
 * @see docs/guide/testing.md
 * @packageDocumentation
 */

export { startRedis, type RedisServer, type StartRedisOptions } from './servers/redis-server.js';
export { SluiceTestingModule, type SluiceTestingOptions } from './sluice-testing.module.js';
export { TestingClock } from './in-process/testing-clock.js';
export { unprotected } from '../weave/index.js';
export { TestingQueue, type DeadTask, type PublishedTask } from './in-process/testing-queue.js';
