import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { FakeSentinel } from '../../../test/support/fake-sentinel.js';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { newClient } from './client-options.js';
import type { RedisConnection } from './connection.js';
import { RedisConnections } from './connections.js';
import { resolveRedisOptions, type ConnectionOptions } from '../redis.options.js';
import { SentinelLookup } from './sentinel-lookup.js';
import { systemClock } from '../time/clock.js';

let first: RedisServer;
let second: RedisServer;
let sentinels: FakeSentinel[];
let printed: jest.SpiedFunction<typeof console.error>;
const apps: RedisConnections[] = [];
beforeEach(async () => {
  [first, second] = await Promise.all([startRedis(), startRedis()]);
  sentinels = await Promise.all([1, 2, 3].map(() => FakeSentinel.at(first.port)));
  printed = jest.spyOn(console, 'error').mockReturnValue();
});
afterEach(async () => {
  expect(printed.mock.calls).toEqual([]);
  printed.mockRestore();
  await Promise.all(apps.splice(0).map((app) => app.onApplicationShutdown()));
  for (const sentinel of sentinels) sentinel.close();
  await Promise.all([first.stop(), second.stop()]);
});

async function open(options: ConnectionOptions = {}): Promise<RedisConnection> {
  const redis = { sentinels: sentinels.map(({ address }) => address), name: 'main', ...options };
  const app = await new RedisConnections({ redis }).open();
  apps.push(app);
  return app.get();
}

/** To which server the sockets of the connection lead: one that stopped in the middle of something leads nowhere. */
function ports(connection: RedisConnection, ...further: { client: Redis }[]): (number | undefined)[] {
  return [connection.commands, ...further].map(({ client }) =>
    client.status === 'ready' ? client.stream.remotePort : undefined,
  );
}

/** Resolves when this process has read what the Sentinels have written: it was there before the answer to this PING. */
async function heard(): Promise<void> {
  const admin = new Redis(first.url);
  await admin.ping();
  await admin.ping();
  admin.disconnect();
}

describe('a connection through Sentinels', () => {
  it('leaves the primary as soon as a Sentinel tells of another one, with all sockets', async () => {
    const connection = await open();
    const further = connection.openLink('further');
    await until(() => sentinels.every(({ listeners }) => listeners === 3), { what: 'all three sockets listen' });
    const admin = new Redis(second.url);
    for (const sentinel of sentinels) sentinel.primary = second.port;
    sentinels[1]!.switchTo(second.port);
    await until(() => ports(connection, further).every((port) => port === second.port), { what: 'they have moved' });
    await until(async () => (await admin.publish(connection.inbox.channel, 'x')) === 1, { what: 'the inbox as well' });
    admin.disconnect();
  });

  it('stays at its primary when another Sentinel tells late of the switch to it, or of another group', async () => {
    const { commands } = await open();
    await until(() => sentinels.every(({ listeners }) => listeners === 2), { what: 'both sockets listen' });
    let left = 0;
    commands.client.on('close', () => left++);
    const [sentinel] = sentinels as [FakeSentinel];
    sentinel.tell(first.port);
    sentinel.tell(second.port, 'other');
    await heard();
    expect(commands.client.stream.writableEnded).toBe(false);
    for (const each of sentinels) each.primary = second.port;
    sentinel.tell(second.port);
    await until(() => commands.client.status === 'ready' && commands.client.stream.remotePort === second.port, {
      what: 'it has moved',
    });
    expect(left).toBe(1);
  });

  it('compares addresses as the map of the user has them', async () => {
    const natMap = { '10.0.0.1:6379': { host: '127.0.0.1', port: first.port } };
    const { commands } = await open({ natMap });
    await until(() => sentinels.every(({ listeners }) => listeners === 2), { what: 'both sockets listen' });
    let left = 0;
    commands.client.on('close', () => left++);
    const [sentinel] = sentinels as [FakeSentinel];
    sentinel.tell(6379, 'main', '10.0.0.1');
    await heard();
    expect(commands.client.stream.writableEnded).toBe(false);
    for (const each of sentinels) each.primary = second.port;
    sentinel.tell(second.port);
    await until(() => commands.client.status === 'ready' && commands.client.stream.remotePort === second.port, {
      what: 'it has moved',
    });
    expect(left).toBe(1);
  });

  it('leaves a primary that hangs as well, whether or not the handshake is over', async () => {
    first.pause();
    const connection = await open({ required: false });
    await until(() => sentinels.every(({ listeners }) => listeners === 2), { what: 'both sockets listen' });
    for (const sentinel of sentinels) sentinel.switchTo(second.port);
    await until(() => ports(connection)[0] === second.port, { what: 'it has moved', deadlineMs: 60_000 });
    first.resume();
  });

  it.each([0, 1, 2])('asks another Sentinel when number %i hangs, and prints nothing', async (at) => {
    const connection = await open();
    await until(() => sentinels.every(({ listeners }) => listeners === 2), { what: 'both sockets listen' });
    sentinels[at]!.hang();
    for (const sentinel of sentinels) sentinel.primary = second.port;
    connection.commands.reset();
    await until(() => ports(connection)[0] === second.port, { what: 'it has moved' });
    await until(() => sentinels[at]!.waiting > 0, { what: 'it was asked something' });
    const from = performance.now();
    await until(() => performance.now() - from > 2_000, { what: 'its time is over' });
  });

  it('gives Sentinels that are all slow more time in each round', async () => {
    for (const sentinel of sentinels) sentinel.delayMs = 120;
    const connection = await open({ sentinelCommandTimeout: 50, bootTimeoutMs: 60_000 });
    expect(ports(connection)).toEqual([first.port]);
  });

  it('connects although a Sentinel told of a switch while another one was being asked', async () => {
    const connection = await open();
    await until(() => sentinels.every(({ listeners }) => listeners === 2), { what: 'both sockets listen' });
    const { client } = connection.commands;
    let ended = 0;
    client.on('end', () => ended++);
    for (const sentinel of sentinels) sentinel.hang();
    // Its socket died by itself: the old detector still listens.
    client.stream.destroy();
    await until(() => sentinels.some(({ waiting }) => waiting > 0), { what: 'a Sentinel is being asked' });
    sentinels[0]!.switchTo(second.port);
    for (const sentinel of sentinels) sentinel.primary = second.port;
    await until(() => sentinels.every(({ listeners }) => listeners <= 1), { what: 'the detector has acted' });
    for (const sentinel of sentinels) sentinel.goOn();
    await until(() => ports(connection)[0] === second.port, { what: 'it has moved' });
    // ioredis had ended the client for good. Without that, this test shows nothing.
    expect(ended).toBe(1);
  });

  it('listens to the errors of the connections on which switches are told, so that ioredis does not print them', () => {
    const lookup = new SentinelLookup({ sentinels: [{ host: 'nowhere' }], name: 'main' });
    const { connectToSentinel } = lookup as unknown as { connectToSentinel: (...args: unknown[]) => Redis };
    const client = connectToSentinel({ host: 'nowhere' }, { lazyConnect: true, retryStrategy: () => null });
    expect(client.listenerCount('error')).toBe(1);
    client.disconnect();
  });

  it('takes what the user has set', () => {
    const made = (options: ConnectionOptions): Redis['options'] => {
      const [config] = resolveRedisOptions({ sentinels: [{ host: 'nowhere' }], name: 'main', ...options });
      return newClient(config!, systemClock, 'commands', true).options;
    };
    const ours = { connectTimeout: 2_000, sentinelCommandTimeout: 1_000, failoverDetector: true };
    expect(made({})).toMatchObject({ ...ours, Connector: SentinelLookup });
    expect(made({ connectTimeout: undefined, failoverDetector: undefined })).toMatchObject(ours);
    const theirs = { connectTimeout: 7, sentinelCommandTimeout: 8, failoverDetector: false };
    expect(made(theirs)).toMatchObject(theirs);
  });
});

it.each([
  ['3 s', { url: 'redis://nowhere' }, 3_000],
  ['5 s with TLS by its URL', { url: 'rediss://nowhere' }, 5_000],
  ['5 s with TLS', { host: 'nowhere', tls: {} }, 5_000],
  ['what the user has set', { host: 'nowhere', connectTimeout: 77 }, 77],
])('one attempt to connect to a server takes %s at most', (_what, options, connectTimeout) => {
  const [config] = resolveRedisOptions(options);
  expect(newClient(config!, systemClock, 'commands', true).options).toMatchObject({
    connectTimeout,
    failoverDetector: false,
  });
});
