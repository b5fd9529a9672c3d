import { expect, it } from '@jest/globals';
import { alive } from '../../../test/support/alive.js';
import { startRedis } from './redis-server.js';
import { allOrNone, startRedisServers, stopAll } from './redis-servers.js';

it('starts servers that know nothing of each other', async () => {
  const servers = await startRedisServers(5, { slotChecks: false });
  try {
    expect(new Set(servers.map(({ port }) => port)).size).toBe(5);
    await servers[0]!.ask((client) => client.set('a', 'b'));
    const sizes = servers.map((server) => server.ask((client) => client.dbsize()));
    expect(await Promise.all(sizes)).toEqual([1, 0, 0, 0, 0]);
  } finally {
    await stopAll(servers);
  }
});

it('stops those that started if one does not', async () => {
  const first = await startRedis();
  await expect(allOrNone([Promise.resolve(first), Promise.reject(new Error('no'))])).rejects.toThrow('no');
  expect(alive(first.pid)).toBe(false);
});
