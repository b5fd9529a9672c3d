export { startRedis, type RedisServer, type StartRedisOptions } from './redis-server.js';
export { SluiceTestingModule, type SluiceTestingOptions } from './sluice-testing.module.js';
export { TestingQueue, type DeadTask, type PublishedTask } from './testing-queue.js';
