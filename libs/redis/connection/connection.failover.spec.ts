import { afterEach, beforeEach, describe, expect } from '@jest/globals';
import { Redis } from 'ioredis';
import { itOnPlainRedis } from '../../../test/support/cluster-mode.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { until } from '../../../test/support/until.js';
import { FaultProxy, startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from './connections.js';

let first: RedisServer;
let second: RedisServer;
/** An address that leads to the master. */
let address: FaultProxy;
const clients: Redis[] = [];
const apps: RedisConnections[] = [];
beforeEach(async () => {
  [first, second] = await Promise.all([startRedis(), startRedis()]);
  address = await FaultProxy.to(first.port);
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.onApplicationShutdown()));
  for (const client of clients.splice(0)) client.disconnect();
  await address.close();
  await Promise.all([first.stop(), second.stop()]);
});

async function open(options: ConstructorParameters<typeof RedisConnections>[0]): Promise<RedisConnections> {
  const app = await new RedisConnections(options).open();
  apps.push(app);
  return app;
}

/** The second is the master now, and no socket of the first was closed. */
async function failOver(): Promise<void> {
  address.leadTo(second.port);
  const admin = new Redis(first.url);
  clients.push(admin);
  await admin.replicaof('127.0.0.1', second.port);
}

describe('a master that a failover made a replica, and that keeps its sockets', () => {
  itOnPlainRedis('is left with all sockets by the first write that it refuses', async () => {
    const connection = (await open({ redis: { url: address.url } })).get();
    const further = connection.openLink('further');
    expect(await further.waitUntilUp(5_000)).toBe(true);
    await failOver();
    await expect(connection.commands.send('set', ['k', 'v'])).rejects.toThrow('READONLY');
    await until(() => connection.commands.up && further.up, { what: 'both are connected again' });
    await connection.commands.send('set', ['k', 'v']);
    const admin = new Redis(second.url);
    clients.push(admin);
    expect(await admin.get('k')).toBe('v');
    const named = async (): Promise<string[]> =>
      [...String(await admin.client('LIST')).matchAll(/ name=sluice:(\S*)/g)].map(([, name]) => name!).sort();
    await until(async () => (await named()).join() === 'commands,further,subscriber', { what: 'all are there' });
    const isHeard = async (): Promise<boolean> => (await admin.publish(connection.inbox.channel, 'x')) === 1;
    await until(isHeard, { what: 'its inbox is subscribed to' });
  });

  itOnPlainRedis('is left at most every 5 s, where nothing else is to be found', async () => {
    const clock = new ManualClock();
    const { commands } = (await open({ redis: { url: first.url }, clock })).get();
    await failOver();
    let left = 0;
    commands.onDown(() => left++);
    const refused = (): Promise<unknown> =>
      until(
        () =>
          commands.send('set', ['k', 'v']).then(
            () => false,
            (error: unknown) => /READONLY/.test(String(error)),
          ),
        {
          what: 'it is refused',
        },
      );
    await refused();
    await until(() => left === 1 && commands.up, { what: 'it was left' });
    for (let n = 0; n < 10; n++) await refused();
    await clock.pass(4_999);
    await refused();
    expect(left).toBe(1);
    await clock.pass(1);
    await refused();
    await until(() => left === 2, { what: 'it was left again' });
  });

  itOnPlainRedis("is the user's to leave, on a client of his", async () => {
    const client = new Redis(first.url);
    clients.push(client);
    const connection = (await open({ redis: { client } })).get();
    const ours = connection.openLink('ours');
    expect(await ours.waitUntilUp(5_000)).toBe(true);
    await failOver();
    await expect(connection.commands.send('set', ['k', 'v'])).rejects.toThrow('READONLY');
    // A socket that is on its way down takes no commands any more.
    expect([connection.commands.up, ours.up]).toEqual([true, true]);
  });
});
