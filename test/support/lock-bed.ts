import { afterAll, afterEach, beforeAll } from '@jest/globals';
import type { ModuleMetadata } from '@nestjs/common';
import { Redis } from 'ioredis';
import type { LockService } from 'nestjs-sluice/lock';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { lockMember, type LockMember, type LockMemberOptions } from './lock-member.js';
import { until } from './until.js';

/** Processes that share locks, as far as those can tell, on a server of one spec file. */
export class LockBed {
  redis!: RedisServer;
  admin!: Redis;
  readonly members: LockMember[] = [];

  /** To be made at the top of a spec file: brings its hooks along. */
  constructor() {
    beforeAll(async () => {
      this.redis = await startRedis();
      this.admin = new Redis(this.redis.url);
    });
    afterEach(async () => {
      await Promise.all(this.members.splice(0).map(({ app }) => app.close()));
      await this.admin.flushall();
    });
    afterAll(async () => {
      this.admin.disconnect();
      await this.redis.stop();
    });
  }

  /** Another process. */
  readonly member = async (options?: LockMemberOptions): Promise<LockMember> => {
    const joined = await lockMember(this.redis.url, options);
    this.members.push(joined);
    return joined;
  };

  /** Another process, when its inbox is subscribed. */
  readonly listening = async (): Promise<LockMember> => {
    const joined = await this.member();
    const { channel } = joined.connections.get().inbox;
    const heard = async (): Promise<unknown> => (await this.admin.pubsub('NUMSUB', channel))[1];
    await until(async () => (await heard()) === 1, { what: 'its inbox is subscribed', everyMs: 5 });
    return joined;
  };

  readonly service = async (options?: LockMemberOptions): Promise<LockService> => (await this.member(options)).locks;

  /** Another process, with one provider of the test's own; returns that. */
  readonly boot = async <T>(provider: new () => T, imports: ModuleMetadata['imports'] = []): Promise<T> =>
    (await this.member({ module: { imports, providers: [provider] } })).app.get(provider);

  /** Someone else holds the lock. */
  readonly occupy = (name: string): Promise<unknown> => this.admin.set(`lock:${name}`, 'somebody', 'PX', 60_000);

  /** Resolves when so many wait for the lock. */
  readonly waiting = (count: number, name = 'x'): Promise<unknown> =>
    until(async () => (await this.admin.zcard(`{lock:${name}}:~queue`)) === count, {
      what: `${count} wait`,
      everyMs: 5,
    });
}
