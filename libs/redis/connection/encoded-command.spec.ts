import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { EncodedCommand } from './encoded-command.js';
import { RedisConnections } from './connections.js';
import type { Link } from './link.js';

let redis: RedisServer;
let connections: RedisConnections;
let link: Link;
beforeAll(async () => {
  redis = await startRedis();
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  link = connections.get().commands;
});
afterAll(async () => {
  await connections.onApplicationShutdown();
  await redis.stop();
});

it('is answered as the command that it is, each time that it is sent, among others', async () => {
  const [set, get] = [new EncodedCommand('set', ['ä key', 'ä value']), new EncodedCommand('get', ['ä key'])];
  expect(await Promise.all([link.send(get), link.send(set), link.send('get', ['ä key']), link.send(get)])).toEqual([
    ...[null, 'OK', 'ä value', 'ä value'],
  ]);
  expect(await link.send('append', ['ä key', '!'])).toBe('ä value!'.length + 1);
  expect(await link.send(get)).toBe('ä value!');
});

it('has its name in errors', async () => {
  await link.send('lpush', ['list', 'a']);
  await expect(link.send(new EncodedCommand('get', ['list']))).rejects.toMatchObject({
    code: 'SLUICE_REDIS_REFUSED',
    message: expect.stringMatching(/\bget\b.*WRONGTYPE/),
  });
});
