export { startRedis, type RedisServer, type StartRedisOptions } from './redis-server.js';
