import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { cacheMember, type CacheMember, type CacheMemberOptions } from './cache-member.js';
import { until } from './until.js';

/** Processes that share a cache, as far as it can tell, on a server of one spec file. */
export class CacheBed {
  redis!: RedisServer;
  admin!: Redis;
  readonly #members: CacheMember[] = [];

  /** To be made at the top of a spec file: brings its hooks along. */
  constructor() {
    beforeAll(async () => {
      this.redis = await startRedis();
      this.admin = new Redis(this.redis.url);
    });
    afterAll(async () => {
      this.admin.disconnect();
      await this.redis.stop();
    });
    beforeEach(() => this.admin.flushall());
    afterEach(async () => {
      await Promise.all(this.#members.splice(0).map((member) => member.close()));
    });
  }

  /** Another process. */
  readonly member = async (options: Partial<CacheMemberOptions> = {}): Promise<CacheMember> => {
    const made = await cacheMember({ redis: { url: this.redis.url }, ...options });
    this.#members.push(made);
    return made;
  };

  /** Another process, whose inbox is subscribed. From now on, only what is pushed wakes a request that waits. */
  readonly listening = async (options: Partial<CacheMemberOptions> = {}): Promise<CacheMember> => {
    const made = await this.member(options);
    const { inbox } = made.connections.get();
    await until(() => inbox.proven.monoMs > 0, { what: 'its inbox is subscribed', everyMs: 5 });
    return made;
  };

  /** How many requests wait for the load that holds this lease. */
  readonly waitersOf = async (lease: string): Promise<number> =>
    (await this.admin.hkeys(lease)).filter((field) => field.startsWith('w:')).length;

  /** Resolves when so many wait for the key `k`. */
  readonly waiters = (count: number): Promise<boolean> =>
    until(async () => (await this.waitersOf('{cache}~lease:k')) === count, { what: `${count} wait`, everyMs: 2 });
}

/** The keys of a server, but for the counter of invalidations and the epochs. */
export async function keysLeft(admin: Redis): Promise<string[]> {
  return (await admin.keys('*')).filter((key) => !/~(sequence|epoch|recent|tag:.*)$/.test(key)).sort();
}
