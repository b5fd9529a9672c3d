import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { systemClock } from '../time/clock.js';
import { BlockingSocket, type SocketName } from './blocking-socket.js';
import type { RedisConnection } from './connection.js';
import { RedisConnections } from './connections.js';

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
let connection: RedisConnection;
let socket: BlockingSocket;
let lost: SocketName[];
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  admin = new Redis(redis.url);
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  connection = connections.get();
  lost = [];
  const options = { connection, clock: systemClock, purpose: 'blocking', lost: (name: SocketName) => lost.push(name) };
  socket = new BlockingSocket(options);
  await socket.identify();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await socket.close();
  await connections.onApplicationShutdown();
  await admin.flushall();
  admin.disconnect();
});

/** Far longer than a test may take. */
const LONG_MS = 600_000;

const list = async (): Promise<string> => String(await admin.call('CLIENT', 'LIST'));
const blocked = (): Promise<void> =>
  until(async () => / name=sluice:blocking .* flags=b /.test(await list()), { what: 'the read blocks' }).then(() => {});
const read = (): Promise<unknown> => socket.read('blpop', ['list', 0], LONG_MS);

it('gives what comes while it waits', async () => {
  const reply = read();
  await blocked();
  await admin.rpush('list', 'a');
  expect(await reply).toEqual(['list', 'a']);
});

describe('interrupt', () => {
  it('ends the read that blocks, and the next one is as good', async () => {
    const reply = read();
    await blocked();
    await socket.interrupt();
    expect(await reply).toBeNull();
    await admin.rpush('list', 'a');
    expect(await read()).toEqual(['list', 'a']);
  });

  it('ends a read that the unblocking overtook', async () => {
    const { stream } = socket.link.client;
    const { commands } = connection;
    const send = commands.send.bind(commands);
    let overtook: unknown;
    jest.spyOn(commands, 'send').mockImplementationOnce(async (...args: Parameters<typeof send>) => {
      overtook = await send(...args);
      stream.uncork();
      await blocked();
      return overtook;
    });
    stream.cork();
    const reply = read();
    await socket.interrupt();
    expect(overtook).toBe(0);
    expect(await reply).toBeNull();
  });

  it('sends nothing when no read is under way', async () => {
    const send = jest.spyOn(connection.commands, 'send');
    await socket.interrupt();
    await admin.rpush('list', 'a');
    await read();
    await socket.interrupt();
    expect(send).not.toHaveBeenCalled();
  });
});

it('has no name once its socket died, tells the name that it had, and gets another', async () => {
  const [, id, addr] = /^id=(\d+) addr=(\S+) .* name=sluice:blocking /m.exec(await list()) ?? [];
  const rejected = expect(read()).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
  await blocked();
  await admin.call('CLIENT', 'KILL', 'ID', id ?? '');
  await rejected;
  await until(() => lost.length > 0, { what: 'the loss is told' });
  expect(lost).toEqual([{ id, addr }]);
  expect(socket.named).toBe(false);
  await until(() => socket.link.up, { what: 'it is connected again' });
  await socket.identify();
  const reply = read();
  await blocked();
  await socket.interrupt();
  expect(await reply).toBeNull();
});

it('a stop closes the socket only after the reply was handled', async () => {
  const handled = jest.fn<() => void>();
  const reply = read().then((value) => {
    expect(socket.link.up).toBe(true);
    handled();
    return value;
  });
  await blocked();
  await socket.stop(reply);
  expect(handled).toHaveBeenCalled();
  expect(await reply).toBeNull();
  expect(socket.link.up).toBe(false);
});
