export { startRedis, type RedisServer, type StartRedisOptions } from './servers/redis-server.js';
export { SluiceTestingModule, type SluiceTestingOptions } from './sluice-testing.module.js';
export { TestingQueue, type DeadTask, type PublishedTask } from './in-process/testing-queue.js';
