import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis, ReplyError } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { startRedis, startRedisOn, type RedisServer } from './redis-server.js';

/** A script that uses a key that is not among its KEYS. */
const UNDECLARED = `return redis.call('SET', ARGV[1], 'x')`;

/** What a client that asks all the time is told. That the server cannot be reached does not count. */
async function answersUntil(end: AbortSignal, url: string): Promise<Set<string>> {
  const client = new Redis(url, { retryStrategy: () => 1, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  const seen = new Set<string>();
  while (!end.aborted) {
    try {
      seen.add(await client.set('a', 'b'));
    } catch (error) {
      if (error instanceof ReplyError) seen.add((error as Error).message);
    }
  }
  client.disconnect();
  return seen;
}

describe('a server that checks slots', () => {
  let redis: RedisServer;
  let client: Redis;
  const start = async (...args: string[]): Promise<void> => {
    redis = await startRedis({ slotChecks: true, args });
    client = new Redis(redis.url, { retryStrategy: () => 5 });
    client.on('error', () => {});
  };
  afterEach(async () => {
    client.disconnect();
    await redis.stop();
  });

  it('rejects commands and scripts across slots, and serves all that stay in one', async () => {
    await start();
    expect(await client.mset('{a}1', 'x', '{a}2', 'y')).toBe('OK');
    await expect(client.mset('a', 'x', 'b', 'y')).rejects.toThrow('CROSSSLOT');
    await expect(client.eval('return 1', 2, 'a', 'b')).rejects.toThrow('CROSSSLOT');
    const checked = `#!lua\n${UNDECLARED}`;
    await expect(client.eval(checked, 1, 'a', 'b')).rejects.toThrow('keys that do not hash to the same slot');
    expect(await client.eval(checked, 1, '{a}1', '{a}2')).toBe('OK');
    await expect(client.select(1)).rejects.toThrow('SELECT is not allowed in cluster mode');
    expect(await client.cluster('SLOTS')).toEqual([[0, 16_383, ['127.0.0.1', redis.port, expect.any(String), []]]]);
  });

  it('knows no node but itself', async () => {
    await start();
    const nodes = ((await client.cluster('NODES')) as string).trim().split('\n');
    expect(nodes).toEqual([expect.stringContaining('myself,master')]);
    expect(await client.info('replication')).toContain('connected_slaves:0');
  });

  it.each([
    ['killed', (server: RedisServer) => server.kill()],
    ['ended in order', () => Promise.resolve()],
  ])('has all slots and its data again once it can be reached after a restart, %s', async (_how, end) => {
    await start('--appendonly', 'yes', '--appendfsync', 'always');
    await client.set('kept', 'yes');
    const id = await client.cluster('MYID');
    const restart = new AbortController();
    const asking = answersUntil(restart.signal, redis.url);
    await end(redis);
    await redis.restart();
    await until(async () => (await client.get('kept')) === 'yes', { what: 'it serves its data' });
    restart.abort();
    expect([...(await asking)]).toEqual(['OK']);
    expect(await client.cluster('MYID')).toBe(id);
    await expect(client.mget('a', 'b')).rejects.toThrow('CROSSSLOT');
  });

  it('needs no rights of the default user', async () => {
    await start('--requirepass', 'secret');
    await expect(client.get('a')).rejects.toThrow('NOAUTH');
    await redis.restart();
    client.disconnect();
    client = new Redis(redis.url, { password: 'secret' });
    expect(await client.set('a', 'b')).toBe('OK');
  });

  it('draws another port if one is taken', async () => {
    await start();
    const ports = [redis.port, redis.port + 1];
    const second = await startRedisOn(() => ports.shift() ?? 0, { slotChecks: true });
    expect(second.port).toBe(redis.port + 1);
    await second.stop();
  });
});

describe('SLUICE_TEST_TOPOLOGY', () => {
  const before = process.env['SLUICE_TEST_TOPOLOGY'];
  const restore = (value: string | undefined): void => {
    if (value === undefined) delete process.env['SLUICE_TEST_TOPOLOGY'];
    else process.env['SLUICE_TEST_TOPOLOGY'] = value;
  };
  let server: RedisServer | undefined;
  beforeEach(() => {
    server = undefined;
  });
  afterEach(async () => {
    restore(before);
    await server?.stop();
  });

  const mode = async (slotChecks?: boolean): Promise<string | undefined> => {
    server = await startRedis(slotChecks === undefined ? {} : { slotChecks });
    const client = new Redis(server.url);
    try {
      return /redis_mode:(\w+)/.exec(await client.info('server'))?.[1];
    } finally {
      client.disconnect();
    }
  };

  it.each([
    [undefined, undefined, 'standalone'],
    ['slots', undefined, 'cluster'],
    ['slots', false, 'standalone'],
    [undefined, true, 'cluster'],
  ])('%s and slotChecks %s start a server that is %s', async (topology, slotChecks, expected) => {
    restore(topology);
    expect(await mode(slotChecks)).toBe(expected);
  });

  it('refuses a topology that it does not know', async () => {
    restore('slot');
    await expect(startRedis()).rejects.toThrow('SLUICE_TEST_TOPOLOGY is "slot": it can only be "slots" or "acl"');
  });
});
