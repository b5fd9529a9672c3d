import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { SluiceModule, type SluiceFeature } from './index.js';

let redis: RedisServer;
let admin: Redis;
let app: TestingModule | undefined;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterEach(async () => {
  await app?.close();
  app = undefined;
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

/** Boots an app whose user has these rights. Answers its warnings. */
async function boot(rule: string, { strict = false, features }: { strict?: boolean; features?: SluiceFeature[] } = {}) {
  await admin.acl('SETUSER', 'app', 'reset', 'on', '>secret', ...rule.split(' '));
  const warnings: string[] = [];
  const url = redis.url.replace('//', '//app:secret@');
  const module = SluiceModule.forRoot({ namespace: 'shop', redis: { url, strict }, ...(features && { features }) });
  app = await Test.createTestingModule({ imports: [module] }).compile();
  app.useLogger({
    log: () => {},
    error: (message: unknown) => void warnings.push(String(message)),
    warn: (message: unknown) => void warnings.push(String(message)),
  });
  await app.init();
  return warnings;
}

describe('a boot whose user lacks rights', () => {
  it.each([
    ['~* &* +@all', undefined],
    ['~shop:* ~{shop:* &shop:* +@all -@dangerous +info', undefined],
    // Side keys begin with a brace.
    [
      '~shop:* &shop:* +@all',
      /may not run SET on '\{shop:lock:any\}:~fence'; .* on '\{shop:cache\}:any'.*'Rights in Redis'/,
    ],
    // What a new user has.
    [
      '~* resetchannels +@all',
      /may not run SUBSCRIBE, PUBLISH on 'shop::~inbox:0:[^']*'; PUBLISH, SUBSCRIBE on 'shop::~cache:0'\. Grant/,
    ],
    ['~* &* +@all -zpopmin', /may not run ZPOPMIN on '\{shop:lock:any\}:~queue'\. Grant/],
    ['~* &* +@all -@scripting', /may not run scripts \(EVAL, EVALSHA\)\. Grant/],
  ])('is told of it once: %s', async (rule, expected) => {
    const warnings = (await boot(rule)).filter((line) => line.includes('the user may not'));
    expect(warnings).toEqual(expected === undefined ? [] : [expect.stringMatching(expected)]);
    expect(warnings.join()).not.toContain('secret');
  });

  it('does not fill the log while its inbox tries again', async () => {
    const warnings = await boot('~* resetchannels +@all', { features: ['lock'] });
    const denied = async (): Promise<number> =>
      Number(/cmdstat_subscribe:.*rejected_calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0);
    const before = await denied();
    await until(async () => (await denied()) > before + 2, { what: 'the inbox has tried three times more' });
    const about = warnings.filter((line) => /NOPERM|may not/.test(line));
    expect(about).toHaveLength(2);
  });

  it('fails if the connection is strict', async () => {
    await expect(boot('~shop:* &shop:* +@all', { strict: true })).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNFIT',
      message: expect.stringContaining("'Rights in Redis'"),
    });
  });

  it('needs no rights of a feature that is not there', async () => {
    expect(
      await boot('~shop:lock:* ~{shop:lock:* &shop:* +@all -@dangerous +info', { strict: true, features: ['lock'] }),
    ).toEqual([]);
  });
});
