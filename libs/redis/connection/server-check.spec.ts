import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { createRedisMock } from 'js-redis-server';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from './connections.js';
import type { ConnectionOptions } from '../redis.options.js';
import { faultsOf, parseServerInfo } from './server-check.js';

let redis: RedisServer;
let admin: Redis;
const opened: RedisConnections[] = [];
let warnings: string[];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
beforeEach(() => {
  warnings = [];
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.onApplicationShutdown()));
  await admin.config('SET', 'maxmemory', '0');
  await admin.config('SET', 'maxmemory-policy', 'noeviction');
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

async function open(options: ConnectionOptions, ...kept: string[]): Promise<RedisConnections> {
  const connections = new RedisConnections({ redis: options });
  opened.push(connections);
  jest.spyOn(connections.logger, 'warn').mockImplementation((message: unknown) => void warnings.push(String(message)));
  for (const what of kept) connections.get().requireNoEviction(what);
  return connections.open();
}

const mayEvict = async (): Promise<void> => {
  await admin.config('SET', 'maxmemory', '100mb');
  await admin.config('SET', 'maxmemory-policy', 'volatile-lru');
};

describe('the server check', () => {
  it('finds nothing wrong with a server at its defaults', async () => {
    await open({ url: redis.url, strict: true }, 'locks');
    expect(warnings).toEqual([]);
  });

  it('asks once, and in no other way than by INFO', async () => {
    await admin.config('RESETSTAT');
    // ioredis' own ready check is an INFO as well.
    await open({ url: redis.url, enableReadyCheck: false }, 'locks', 'tasks');
    const stats = await admin.info('commandstats');
    expect(stats).toMatch(/cmdstat_info:calls=1,/);
    expect(stats).not.toMatch(/cmdstat_config\|get/);
  });

  it('warns of a policy that may drop what is kept there, and names the fix', async () => {
    await mayEvict();
    await open({ url: redis.url }, 'locks', 'tasks');
    expect(warnings).toEqual([
      `Redis connection 'default' (redis://127.0.0.1:${redis.port}): maxmemory-policy is volatile-lru: when its memory is full ` +
        'it may drop locks and tasks. Set it to noeviction, or give these a server of their own (redis.connections)',
    ]);
  });

  it('refuses it when strict, and leaves no socket behind', async () => {
    await mayEvict();
    await expect(open({ url: redis.url, strict: true }, 'locks')).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNFIT' });
    const sockets = async (): Promise<number> =>
      String(await admin.client('LIST'))
        .trim()
        .split('\n').length - 1;
    await until(async () => (await sockets()) === 0, { what: 'its sockets are closed' });
  });

  it('lets a cache evict', async () => {
    await mayEvict();
    await open({ url: redis.url, strict: true });
    expect(warnings).toEqual([]);
  });

  it('does not mind a policy without a limit', async () => {
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await open({ url: redis.url, strict: true }, 'locks');
    expect(warnings).toEqual([]);
  });

  it('is made when the server is there, if the boot does not wait for it', async () => {
    const server = await startRedis({ args: ['--maxmemory', '100mb', '--maxmemory-policy', 'volatile-lru'] });
    await server.kill();
    await open({ url: server.url, required: false }, 'locks');
    expect(warnings).toEqual([]);
    await server.restart();
    await until(() => warnings.length > 0, { what: 'it is warned of', everyMs: 5 });
    expect(warnings).toEqual([expect.stringContaining('may drop locks')]);
    await server.stop();
  });

  it('tells when INFO is refused, and goes on unless strict', async () => {
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info');
    const url = redis.url.replace('//', '//app:secret@');
    await open({ url, enableReadyCheck: false }, 'locks');
    expect(warnings).toEqual([expect.stringMatching(/could not be read: INFO answered .*NOPERM/)]);
    expect(warnings[0]).not.toContain('secret');
    const strict = open({ url, enableReadyCheck: false, strict: true }, 'locks');
    await expect(strict).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNFIT' });
    await admin.call('ACL', 'DELUSER', 'app');
  });

  it('is silent on js-redis-server', async () => {
    const server = await createRedisMock();
    await open({ url: server.url, strict: true }, 'locks');
    expect(warnings).toEqual([]);
    await opened.pop()!.onApplicationShutdown();
    await server.close();
  });
});

describe('what INFO says', () => {
  it.each([
    ['redis_version:6.2.14\r\n', ['Redis 6.2.14 is older than 7.0, the oldest that is supported. Upgrade it']],
    ['redis_version:7.0.0\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n', []],
    ['redis_version:10.0.0\r\n', []],
    // Valkey says whose commands it has, and who it is.
    ['redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n', []],
    ['', []],
  ])('%j', (info, faults) => {
    expect(faultsOf(parseServerInfo(info), ['locks'])).toEqual(faults);
  });

  it('names Valkey by its own version', () => {
    expect(parseServerInfo('redis_version:7.2.4\r\nvalkey_version:8.1.0\r\n')).toMatchObject({
      product: 'Valkey',
      version: '8.1.0',
      redisVersion: '7.2.4',
    });
  });
});
