import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from '../connection/connections.js';

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
beforeAll(async () => {
  redis = await startRedis({ slotChecks: false });
  admin = new Redis(redis.url);
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-select');
});
afterEach(() => connections.onApplicationShutdown());
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

const connect = (db: number, required = true): RedisConnections =>
  (connections = new RedisConnections({
    redis: { url: redis.url.replace('//', '//app:secret@'), db, required, bootTimeoutMs: 60_000 },
  }));

it('a database that the server refuses fails the boot: its data would be in database 0', async () => {
  await expect(connect(3).open()).rejects.toMatchObject({
    code: 'SLUICE_REDIS_UNFIT',
    message: expect.stringMatching(/db is 3, and the server refused SELECT: .*NOPERM.*namespace/),
  });
});

it('it takes no command where the boot does not wait for Redis', async () => {
  const app = connect(3, false);
  const told = jest.spyOn(app.logger, 'error').mockImplementation(() => {});
  jest.spyOn(app.logger, 'warn').mockImplementation(() => {});
  await app.open();
  await until(() => told.mock.calls.length > 0, { what: 'it is told' });
  await expect(app.get().commands.send('set', ['k', 'v'])).rejects.toThrow('refused SELECT');
  expect(await admin.dbsize()).toBe(0);
});

it('database 0 needs no SELECT', async () => {
  await connect(0).open();
});
