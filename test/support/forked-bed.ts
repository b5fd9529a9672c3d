import { afterEach, beforeEach } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { Redis } from 'ioredis';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forkApp, type ForkedApp } from './fork-app.js';
import { startQueueApp, type QueueApp } from './queue-app.js';

/** A server, an app without handlers in this process, and forked processes that share a ledger: new for each test. */
export class ForkedBed {
  redis!: RedisServer;
  operator!: QueueApp;
  dir!: string;
  /** The file of the ledger. */
  ledger!: string;
  /** The processes that {@link fork} has started. Those that a test has killed may stay in it. */
  workers: ForkedApp[] = [];
  #admin: Redis | undefined;

  /** To be made at the top of a spec file: brings its hooks along. */
  constructor() {
    beforeEach(async () => {
      this.redis = await startRedis();
      this.operator = await startQueueApp({ url: this.redis.url });
      this.dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
      this.ledger = join(this.dir, 'ledger');
      writeFileSync(this.ledger, '');
    });
    afterEach(async () => {
      await Promise.all(this.workers.splice(0).map((worker) => worker.kill()));
      await this.operator.app.close();
      this.#admin?.disconnect();
      this.#admin = undefined;
      await this.redis.stop();
      rmSync(this.dir, { recursive: true });
    });
  }

  /** A connection of the test itself. */
  get admin(): Redis {
    return (this.#admin ??= new Redis(this.redis.url));
  }

  /** Starts a process with this environment, the server and the ledger. */
  readonly fork = async (env: Record<string, string> = {}, app = 'queue-worker'): Promise<ForkedApp> => {
    const worker = await forkApp(app, { env: { REDIS_URL: this.redis.url, LEDGER: this.ledger, ...env } });
    this.workers.push(worker);
    return worker;
  };
}
