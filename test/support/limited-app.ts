import type { AddressInfo } from 'node:net';
import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { SluiceLimitModule, type SluiceLimitModuleOptions } from 'nestjs-sluice/limit';
import { SluiceRedisModule } from 'nestjs-sluice/redis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';

/** An answer of an app. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** Apps with rate limits on one Redis, and requests to them. */
export class LimitedApps {
  redis!: RedisServer;
  admin!: Redis;
  readonly #apps: INestApplication[] = [];

  async start(): Promise<void> {
    this.redis = await startRedis();
    this.admin = new Redis(this.redis.url);
  }

  /** Closes the apps, and forgets what they counted. */
  async clear(): Promise<void> {
    await Promise.all(this.#apps.splice(0).map((app) => app.close()));
    await this.admin.flushall();
  }

  async stop(): Promise<void> {
    this.admin.disconnect();
    await this.redis.stop();
  }

  /** Boots an app that listens. `before` sees it before that. */
  async boot(
    limit: SluiceLimitModuleOptions,
    { imports = [], ...metadata }: ModuleMetadata,
    before: (app: NestExpressApplication) => void = () => {},
  ): Promise<NestExpressApplication> {
    const redis = SluiceRedisModule.forRoot({ redis: { url: this.redis.url } });
    const module = await Test.createTestingModule({
      imports: [redis, SluiceLimitModule.forRoot(limit), ...imports],
      ...metadata,
    }).compile();
    const app = module.createNestApplication<NestExpressApplication>({ logger: false });
    before(app);
    this.#apps.push(app);
    await app.listen(0, '127.0.0.1');
    return app;
  }

  /** Asks the last app. */
  async get(path: string, init: RequestInit = {}): Promise<Answer> {
    const server = this.#apps.at(-1)?.getHttpServer() as { address(): AddressInfo };
    const response = await fetch(`http://127.0.0.1:${server.address().port}/${path}`, init);
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  }

  async statuses(path: string, times: number, init?: RequestInit): Promise<number[]> {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) statuses.push((await this.get(path, init)).status);
    return statuses;
  }
}
