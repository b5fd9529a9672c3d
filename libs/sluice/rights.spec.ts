import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { ACL_LINES, commandsOfRule, type RuleName } from '../../test/acl-rules.js';
import { until } from '../../test/support/until.js';
import { CacheKeys } from '../cache/store/cache.keys.js';
import { LIMIT_OPTIONAL, limitRights } from '../limit/store/limit.keys.js';
import { lockRights } from '../lock/store/lock.keys.js';
import { queueKeys } from '../queue/store/queue.keys.js';
import { QUEUE_CALLS, QUEUE_OPTIONAL, workRights } from '../queue/store/queue.rights.js';
import { callOf } from '../redis/access/rights.js';
import { Keyspace } from '../redis/index.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { SluiceModule, TaskHandler, type SluiceFeature } from './index.js';

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

@Injectable()
class Orders {
  readonly ran: unknown[] = [];

  @TaskHandler('orders')
  async handle(payload: unknown): Promise<void> {
    this.ran.push(payload);
    await Promise.resolve();
  }
}

interface Boot {
  strict?: boolean;
  required?: boolean;
  features?: SluiceFeature[];
  handlers?: boolean;
}

/** Boots an app whose user has these rights. Answers its warnings. */
async function boot(rule: string, { strict = false, required = true, features, handlers }: Boot = {}) {
  await admin.acl('SETUSER', 'app', 'reset', 'on', '>secret', ...rule.split(' '));
  const warnings: string[] = [];
  const url = redis.url.replace('//', '//app:secret@');
  const options = { namespace: 'shop', redis: { url, strict, required }, ...(features && { features }) };
  const providers = handlers === true ? [Orders] : [];
  app = await Test.createTestingModule({ imports: [SluiceModule.forRoot(options)], providers }).compile();
  app.useLogger({
    log: () => {},
    error: (message: unknown) => void warnings.push(String(message)),
    warn: (message: unknown) => void warnings.push(String(message)),
  });
  await app.init();
  return warnings;
}

describe('a boot whose user lacks commands or keys', () => {
  it.each([
    // Side keys begin with a brace.
    [
      '~shop:* &shop:* +@all',
      /may not run GET, PEXPIRE, SET on '\{shop:lock:any\}:~fence'; .* on '\{shop:cache\}:any'.*'Rights in Redis'/,
    ],
    ['~* &* +@all -zpopmin', /may not run ZPOPMIN on '\{shop:lock:any\}:~queue'; ZPOPMIN on '[^']+'\. Grant/],
    ['~* &* +@all -@scripting', /may not run scripts \(EVAL, EVALSHA\)\. Grant/],
  ])('fails and names them: %s', async (rule, expected) => {
    const failed = await boot(rule).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'SLUICE_REDIS_UNFIT', message: expect.stringMatching(expected) });
    expect(String(failed)).not.toContain('secret');
  });

  it.each<[RuleName, SluiceFeature]>([
    ['locks', 'lock'],
    ['the cache', 'cache'],
    ['a queue', 'queue'],
    ['rate limits', 'limit'],
  ])('fails for each command of the rule for %s that the app cannot do without', async (name, feature) => {
    const line = ACL_LINES.find(([each]) => each === name)![1];
    const optional = ['client|setname', 'info', 'publish', 'subscribe', 'eval', 'evalsha'];
    const needed = commandsOfRule(name).filter(
      (command) => ![...optional, ...LIMIT_OPTIONAL, ...QUEUE_OPTIONAL, ...QUEUE_CALLS].includes(command),
    );
    expect(needed.length).toBeGreaterThan(1);
    for (const command of needed) {
      const shown = command.toUpperCase().replace('|', ' ');
      const failed = boot(`${line} -${command}`, { features: [feature], handlers: feature === 'queue' });
      await expect(failed).rejects.toMatchObject({
        code: 'SLUICE_REDIS_UNFIT',
        message: expect.stringMatching(new RegExp(`may not run ([A-Z ,]*, )?${shown}\\b`)),
      });
      await app?.close();
      app = undefined;
    }
  });

  it('fails before a task is taken', async () => {
    await admin.xadd('shop:orders', '*', 'payload', '1');
    await expect(boot('~* &* +@all -xclaim', { handlers: true })).rejects.toMatchObject({
      message: expect.stringMatching(/may not run XCLAIM on 'shop:orders'\. Grant/),
    });
    expect(app!.get(Orders).ran).toEqual([]);
    expect(await admin.exists('{shop:orders}:~alive')).toBe(0);
    await admin.del('shop:orders');
  });

  it('fails for the keys of a queue that comes later', async () => {
    @Injectable()
    class Letters {
      @TaskHandler('letters')
      async handle(): Promise<void> {
        await Promise.resolve();
      }
    }
    const rule = '~shop:orders ~{shop:orders}* ~{shop:slots* &shop::~* +@all';
    await admin.acl('SETUSER', 'app', 'reset', 'on', '>secret', ...rule.split(' '));
    const redisOptions = { url: redis.url.replace('//', '//app:secret@') };
    const module = SluiceModule.forRoot({ namespace: 'shop', redis: redisOptions, features: ['queue'] });
    app = await Test.createTestingModule({ imports: [module], providers: [Orders, Letters] }).compile();
    await expect(app.init()).rejects.toMatchObject({
      message: expect.stringMatching(
        /may not run XREADGROUP on 'shop:letters'; ZADD on '\{shop:letters\}:~alive'\. Grant/,
      ),
    });
  });

  it('is only told of it if the connection is not required', async () => {
    const warnings = await boot('~* &* +@all -zpopmin -xclaim', { required: false, handlers: true });
    await until(() => warnings.filter((line) => line.includes('may not run')).length >= 2, { what: 'both are told' });
  });

  it('names a command that the server does not know', async () => {
    const server = await startRedis({ args: ['--rename-command', 'ZPOPMIN', ''] });
    const module = SluiceModule.forRoot({ redis: { url: server.url }, features: ['lock'] });
    app = await Test.createTestingModule({ imports: [module] }).compile();
    await expect(app.init()).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNFIT',
      message: expect.stringMatching(/the server does not know ZPOPMIN on '\{lock:any\}:~queue'\. Grant/),
    });
    await app.close();
    app = undefined;
    await server.stop();
  });
});

describe('a boot whose user lacks what the app can do without', () => {
  it.each([
    ['~* &* +@all', undefined],
    ['~shop:* ~{shop:* &shop:* +@all -@dangerous +info', undefined],
    // What a new user has.
    [
      '~* resetchannels +@all',
      /may not run SUBSCRIBE, PUBLISH on 'shop::~inbox:0:[^']*'; PUBLISH, SUBSCRIBE on 'shop::~cache:0'\. Grant/,
    ],
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
    await expect(boot('~* resetchannels +@all', { strict: true })).rejects.toMatchObject({
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

it('the calls by which rights are looked at have as many words as the commands need', async () => {
  const keyspace = new Keyspace('shop');
  const rights = [
    ...lockRights(keyspace),
    ...new CacheKeys(keyspace).rights('c'),
    ...workRights([queueKeys(keyspace, 'orders')]),
    ...limitRights(keyspace),
  ];
  for (const right of rights) {
    const call = callOf(right);
    const [known] = (await admin.call('COMMAND', 'INFO', right[0])) as [[name: string, arity: number]];
    const arity = known[1];
    expect([right[0], arity < 0 ? call.length >= -arity : call.length === arity]).toEqual([right[0], true]);
  }
});
