import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { FaultProxy, startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from '../connection/connections.js';
import type { ConnectionOptions } from '../redis.options.js';

let primary: RedisServer;
let replica: RedisServer;
let admin: Redis;
let told: string[];
const opened: RedisConnections[] = [];
const clients: Redis[] = [];
beforeEach(async () => {
  [primary, replica] = await Promise.all([
    startRedis({ slotChecks: false }),
    startRedis({ slotChecks: false, args: ['--replica-serve-stale-data', 'yes'] }),
  ]);
  admin = new Redis(replica.url);
  clients.push(admin);
  await admin.replicaof('127.0.0.1', primary.port);
  told = [];
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.onApplicationShutdown()));
  for (const client of clients.splice(0)) client.disconnect();
  await Promise.all([primary.stop(), replica.stop()]);
});

function make(options: ConnectionOptions): RedisConnections {
  const connections = new RedisConnections({ redis: options });
  opened.push(connections);
  for (const level of ['warn', 'error'] as const) {
    jest.spyOn(connections.logger, level).mockImplementation((message: unknown) => void told.push(String(message)));
  }
  return connections;
}

const connects = async (): Promise<number> =>
  Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);

describe('a boot whose address leads to a replica', () => {
  it.each<[string, () => ConnectionOptions]>([
    ['', () => ({ url: replica.url })],
    [', strict', () => ({ url: replica.url, strict: true })],
    [
      ' by a client of the user',
      () => {
        const client = new Redis(replica.url);
        clients.push(client);
        return { client };
      },
    ],
  ])('fails after bootTimeoutMs with the reason and the fix%s', async (_, options) => {
    const before = await connects();
    await expect(make({ bootTimeoutMs: 1_500, ...options() }).open()).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNFIT',
      message: expect.stringMatching(
        new RegExp(
          `is a replica of 127\\.0\\.0\\.1:${primary.port}, also after 1500 ms.*Give the address of the primary`,
        ),
      ),
    });
    // Two sockets, four times a second.
    expect((await connects()) - before).toBeLessThan(20);
  });

  it('waits for a failover that is under way', async () => {
    const boot = make({ url: replica.url, bootTimeoutMs: 60_000 }).open();
    await until(async () => String(await admin.client('LIST')).includes('name=sluice:commands'), {
      what: 'it is there',
    });
    await admin.replicaof('NO', 'ONE');
    const { commands } = (await boot).get();
    expect(await commands.send('set', ['k', 'v'])).toBe('OK');
    expect(told).toEqual([]);
  });

  it('waits for its address to lead to the primary', async () => {
    const address = await FaultProxy.to(replica.port);
    const boot = make({ url: address.url, bootTimeoutMs: 60_000 }).open();
    await until(async () => String(await admin.client('LIST')).includes('name=sluice:commands'), {
      what: 'it is there',
    });
    address.leadTo(primary.port);
    const { commands } = (await boot).get();
    expect(await commands.send('set', ['k', 'v'])).toBe('OK');
    await opened.pop()!.onApplicationShutdown();
    await address.close();
  });

  it('goes on with one warning if it does not wait for Redis, and the sockets stay', async () => {
    const connections = make({ url: replica.url, required: false });
    await connections.open();
    await until(() => told.length > 0, { what: 'it is told' });
    expect(told).toEqual([expect.stringMatching(/is a replica of 127\.0\.0\.1:\d+: it takes no writes/)]);
    const { commands } = connections.get();
    const before = await connects();
    for (let n = 0; n < 50; n++)
      await expect(commands.send('set', ['k', 'v'])).rejects.toThrow(/READONLY|not connected|lost/);
    await until(() => commands.up, { what: 'it is connected' });
    // It looks for another server once in five seconds, with two sockets.
    expect((await connects()) - before).toBeLessThan(8);
  });
});
