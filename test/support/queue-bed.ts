import { afterAll, afterEach, beforeAll } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer, type StartRedisOptions } from 'nestjs-sluice/testing';
import { Books } from './books.js';
import { startQueueApp, type QueueApp, type QueueAppOptions } from './queue-app.js';
import { until } from './until.js';

/** Apps that share the queue `tasks`, on a server of one spec file. */
export class QueueBed {
  redis!: RedisServer;
  admin!: Redis;
  /** Of `tasks`. */
  books!: Books;
  readonly #apps: QueueApp[] = [];

  /** To be made at the top of a spec file: brings its hooks along. */
  constructor(server: StartRedisOptions = {}) {
    beforeAll(async () => {
      this.redis = await startRedis(server);
      this.admin = new Redis(this.redis.url, { protocol: 2 });
      this.books = new Books(this.admin, 'tasks');
    });
    afterEach(async () => {
      await Promise.all(this.#apps.splice(0).map(({ app }) => app.close()));
      await this.admin.flushall();
    });
    afterAll(async () => {
      this.admin.disconnect();
      await this.redis.stop();
    });
  }

  /**
   * Another app. It is closed before the server is emptied, so that it writes nothing into the next test.
   *
   * @param user as whom it logs in, with the password `secret`; default: the default user
   */
  readonly start = async (options: Omit<QueueAppOptions, 'url'>, user?: string): Promise<QueueApp> => {
    const url = user === undefined ? this.redis.url : this.redis.url.replace('redis://', `redis://${user}:secret@`);
    const app = await startQueueApp({ url, ...options });
    this.#apps.push(app);
    return app;
  };

  /** Resolves when nothing waits and nothing is pending. */
  readonly untilSettled = (books = this.books): Promise<unknown> =>
    until(() => books.settled(), { what: 'all is settled' });
}
