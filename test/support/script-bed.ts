import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisConnections, type Link, type RedisConnection } from 'nestjs-sluice/redis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';

/** A server of one spec file, empty before each test, for scripts that are run by themselves. */
export class ScriptBed {
  admin!: Redis;
  connections!: RedisConnections;
  connection!: RedisConnection;
  #redis!: RedisServer;

  /** To be made at the top of a spec file: brings its hooks along. */
  constructor() {
    beforeAll(async () => {
      this.#redis = await startRedis();
      this.admin = new Redis(this.#redis.url, { protocol: 2 });
      this.connections = await new RedisConnections({ redis: { url: this.#redis.url } }).open();
      this.connection = this.connections.get();
    });
    afterAll(async () => {
      this.admin.disconnect();
      await this.connections.onApplicationShutdown();
      await this.#redis.stop();
    });
    beforeEach(() => this.admin.flushall());
  }

  /** What the scripts are run on. */
  get link(): Link {
    return this.connection.commands;
  }

  readonly serverMs = async (): Promise<number> => {
    const [seconds, micros] = await this.admin.time();
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  };
}
