import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { itOnPlainRedis } from '../../../test/support/cluster-mode.js';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { lua } from '../script/fragment.js';
import { defineScript } from '../script/script.js';
import { RedisConnections } from './connections.js';

let redis: RedisServer;
let admin: Redis;
let app: RedisConnections;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  admin = new Redis(redis.url);
  await admin.acl('SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all');
  app = await new RedisConnections({ redis: { url: redis.url.replace('//', '//app:secret@') } }).open();
});
afterEach(async () => {
  await admin.config('SET', 'min-replicas-to-write', '0');
  await admin.config('SET', 'maxmemory', '0');
  await app.onApplicationShutdown();
  admin.disconnect();
});

const writing = defineScript({
  name: 'writing',
  keys: ['key'],
  args: { value: 'text' },
  lua: lua`redis.call('SET', key, value) redis.call('PUBLISH', 'c', value) return 1`,
  decode: Number,
});

describe('what a server refuses for the moment', () => {
  const nothingRan = async (refusal: string, ...[command, ...args]: [string, ...string[]]): Promise<void> => {
    const { commands } = app.get();
    await admin.call(command, ...args);
    try {
      const refused = expect.objectContaining({ code: 'SLUICE_REDIS_UNAVAILABLE', outcome: 'not-sent', refusal });
      await expect(commands.send('set', ['k', 'v'])).rejects.toEqual(refused);
      await until(() => commands.up, { what: 'the socket is up' });
      await expect(writing.run(commands, { keys: { key: 'k' }, args: { value: 'v' } })).rejects.toEqual(refused);
      expect(app.get().stats).toMatchObject({ refused: 2 });
      expect(await admin.exists('k')).toBe(0);
    } finally {
      if (refusal === 'READONLY') await admin.replicaof('NO', 'ONE');
    }
  };

  it.each<[string, string, ...string[]]>([
    ['NOREPLICAS', 'CONFIG', 'SET', 'min-replicas-to-write', '1'],
    ['OOM', 'CONFIG', 'SET', 'maxmemory', '1'],
    ['NOPERM', 'ACL', 'SETUSER', 'app', '-evalsha', '-eval', '-set'],
  ])('is unavailable, and nothing ran: %s', nothingRan);

  itOnPlainRedis('is unavailable, and nothing ran: READONLY', () =>
    nothingRan('READONLY', 'REPLICAOF', '127.0.0.1', '1'),
  );

  it('is unavailable, and may have run: a script that lacks a right half-way', async () => {
    await admin.acl('SETUSER', 'app', '-publish');
    await expect(writing.run(app.get().commands, { keys: { key: 'half' }, args: { value: 'v' } })).rejects.toEqual(
      expect.objectContaining({ code: 'SLUICE_REDIS_UNAVAILABLE', outcome: 'unknown', refusal: 'NOPERM' }),
    );
    expect(await admin.get('half')).toBe('v');
  });

  it('is unavailable: a server that is busy with a script of another', async () => {
    await admin.config('SET', 'busy-reply-threshold', '1');
    const other = new Redis(redis.url);
    other.on('error', () => {});
    const busy = other.eval('while true do end', 0).catch(() => {});
    try {
      await until(
        () =>
          app
            .get()
            .commands.send('get', ['k'])
            .then(
              () => false,
              (error: unknown) => (error as { refusal?: string }).refusal === 'BUSY',
            ),
        { what: 'it is busy' },
      );
    } finally {
      await admin.script('KILL');
      await busy;
      other.disconnect();
    }
  });
});
