import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from './connections.js';
import type { Link } from './link.js';
import type { RedisUnavailableError } from '../redis.errors.js';

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
let link: Link;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  admin = new Redis(redis.url);
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  link = connections.get().commands;
});
afterEach(async () => {
  await connections.onApplicationShutdown();
  admin.disconnect();
});

/** A link on which nothing is sent but by the test. On that for commands, the connection proves that messages arrive. */
async function alone(): Promise<Link> {
  const link = connections.get().openLink('alone');
  await until(() => link.up, { what: 'it is connected' });
  return link;
}

/**
 * Keeps the server busy for 50 ms. So long that it reads one at a time: it answers nothing before it has run all that it has
 * read.
 */
const BUSY_50_MS = `
local from = redis.call('TIME')
repeat local now = redis.call('TIME') until (now[1] - from[1]) * 1000000 + now[2] - from[2] > 50000
return 1`;

const unavailable = (outcome: 'not-sent' | 'unknown') =>
  expect.objectContaining({ code: 'SLUICE_REDIS_UNAVAILABLE', outcome });

describe('send', () => {
  it('answers in text or in bytes', async () => {
    await link.send('set', ['bytes', Buffer.from([0, 255])]);
    expect(await link.send('get', ['bytes'], { buffers: true })).toEqual(Buffer.from([0, 255]));
    await link.send('set', ['text', 'ü']);
    expect(await link.send('get', ['text'])).toBe('ü');
  });

  it('writes once for what a turn sends, and of thousands the first before the rest is encoded', async () => {
    const link = await alone();
    const uncork = jest.spyOn(link.client.stream, 'uncork');
    const writes = async (commands: number): Promise<number> => {
      uncork.mockClear();
      await Promise.all(Array.from({ length: commands }, () => link.send('ping')));
      return uncork.mock.calls.length;
    };
    expect(await writes(100)).toBe(1);
    expect(await writes(1_000)).toBe(8);
    expect(link.client.stream.writableCorked).toBe(0);
  });

  it('holds no write while nothing is under way', async () => {
    const link = await alone();
    const { stream } = link.client;
    const first = link.send('ping');
    expect(stream.writableCorked).toBe(0);
    const second = link.send('ping');
    expect(stream.writableCorked).toBe(1);
    expect(await Promise.all([first, second])).toEqual(['PONG', 'PONG']);
    expect(stream.writableCorked).toBe(0);
  });

  it('tells what happened to the socket, without what was sent', async () => {
    const failed = Object.assign(new Error('write EPIPE'), {
      code: 'EPIPE',
      command: { name: 'set', args: ['SECRET'] },
    });
    const send = jest.spyOn(link.client, 'sendCommand').mockImplementationOnce((command) => {
      command.reject(failed);
      return command.promise;
    });
    try {
      const error = await link.send('set', ['k', 'SECRET']).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE', outcome: 'unknown', cause: { code: 'EPIPE' } });
      expect(inspect(error, { depth: 10 })).not.toContain('SECRET');
    } finally {
      send.mockRestore();
    }
  });

  it('tells what the server refuses for good', async () => {
    await expect(link.send('incr', ['text'])).rejects.toMatchObject({
      code: 'SLUICE_REDIS_REFUSED',
      message: expect.stringContaining('not an integer'),
    });
  });

  it('reads the reply that came in time, though this process was held up past the deadline', async () => {
    const sent = link.send('ping', [], { deadlineMs: 50 });
    setImmediate(() => {
      const end = performance.now() + 150;
      while (performance.now() < end);
    });
    expect(await sent).toBe('PONG');
  });

  it('waits past its deadline while the server answers something else, if it is told to, and no longer than commandTimeoutMs', async () => {
    const own = await new RedisConnections({ redis: { url: redis.url, commandTimeoutMs: 2_000 } }).open();
    const { commands } = own.get();
    try {
      // The server is busy for a while again and again, and answers in between.
      const busy = (): Promise<unknown> =>
        commands.send('eval', [BUSY_50_MS, 0, 'x'.repeat(50_000)], { deadlineMs: 60_000 });
      const before = Array.from({ length: 8 }, busy);
      const [patient, strict] = await Promise.allSettled([
        commands.send('ping', [], { deadlineMs: 120, whileSilent: true }),
        commands.send('ping', [], { deadlineMs: 120 }),
      ]);
      expect(patient).toEqual({ status: 'fulfilled', value: 'PONG' });
      expect(strict).toMatchObject({ status: 'rejected', reason: unavailable('unknown') });
      await Promise.all(before);
      redis.pause();
      await expect(commands.send('ping', [], { deadlineMs: 120, whileSilent: true })).rejects.toEqual(
        unavailable('unknown'),
      );
      redis.resume();
      await until(
        () =>
          commands.send('ping').then(
            () => true,
            () => false,
          ),
        { what: 'the server answers' },
      );
      const endless = Array.from({ length: 80 }, busy);
      await expect(commands.send('ping', [], { deadlineMs: 1_000, whileSilent: true })).rejects.toEqual(
        unavailable('unknown'),
      );
      await Promise.all(endless);
    } finally {
      await own.onApplicationShutdown();
    }
  });

  it('rejects at the deadline, each command at its own, and hands over the late reply', async () => {
    redis.pause();
    try {
      const order: string[] = [];
      const late = new Promise<unknown>((resolve) => {
        const sent = link.send('ping', [], { deadlineMs: 150, late: resolve });
        sent.catch((error: unknown) => order.push(`150 ${(error as RedisUnavailableError).outcome}`));
      });
      const short = link.send('ping', [], { deadlineMs: 50 });
      await expect(short.finally(() => order.push('50'))).rejects.toEqual(unavailable('unknown'));
      await until(() => order.length === 2, { what: 'both deadlines passed' });
      expect(order).toEqual(['50', '150 unknown']);
      redis.resume();
      expect(await late).toBe('PONG');
    } finally {
      redis.resume();
    }
  });

  it('rejects what is in flight when the socket dies, and resends none of it', async () => {
    await admin.set('counter', '0');
    const [id] = [await link.send<number>('client', ['ID'])];
    await admin.client('PAUSE', 60_000, 'WRITE');
    const interrupted = link.send('incr', ['counter']);
    interrupted.catch(() => {});
    await until(async () => (await admin.info('clients')).includes('blocked_clients:1'), { what: 'INCR is held back' });
    await admin.client('KILL', 'ID', id);
    await expect(interrupted).rejects.toEqual(unavailable('unknown'));
    await admin.client('UNPAUSE');
    expect(await link.waitUntilUp(5_000)).toBe(true);
    expect(await link.send('get', ['counter'])).toBe('0');
    expect(await link.send('client', ['ID'])).not.toBe(id);
  });

  it('rejects at once while Redis is down, and works again when it is back', async () => {
    const downs: string[] = [];
    link.onDown(() => downs.push('down'));
    link.onUp(() => downs.push('up'));
    await redis.kill();
    await until(() => downs.includes('down'), { what: 'the link noticed' });
    await expect(link.send('ping')).rejects.toEqual(unavailable('not-sent'));
    await redis.restart();
    expect(await link.waitUntilUp(5_000)).toBe(true);
    expect(await link.send('ping')).toBe('PONG');
    expect(downs).toEqual(['down', 'up']);
    admin.disconnect();
  });

  it('rejects everything once closed', async () => {
    const hanging = expect(link.send('blpop', ['nothing', 0])).rejects.toEqual(unavailable('unknown'));
    await link.close();
    await hanging;
    await expect(link.send('ping')).rejects.toEqual(unavailable('not-sent'));
  });

  it('resolves every close when the socket is gone, also of a server that hangs', async () => {
    redis.pause();
    try {
      link.send('ping').catch(() => {});
      const first = link.close();
      await link.close();
      expect(link.client.status).toBe('end');
      await first;
    } finally {
      redis.resume();
    }
  });

  it('lets any number of commands wait for the first connection, without a warning of a leak', async () => {
    const early = new RedisConnections({ redis: { url: redis.url } });
    const { commands } = early.get();
    expect(commands.client.getMaxListeners()).toBe(0);
    const sent = await Promise.all(Array.from({ length: 50 }, () => commands.send('ping')));
    expect(new Set(sent)).toEqual(new Set(['PONG']));
    await early.onApplicationShutdown();
  });

  it('keeps no timer once everything was answered and it is closed', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length;
    await link.send('ping');
    const before = timers();
    await Promise.all(Array.from({ length: 100 }, () => link.send('ping')));
    expect(timers()).toBeLessThanOrEqual(before);
  });
});

describe("a link on the user's own client", () => {
  let client: Redis;
  let theirs: RedisConnections;
  let commands: Link;
  beforeEach(async () => {
    // As most people make one: interrupted commands are sent again, early ones wait.
    client = new Redis(redis.url);
    theirs = await new RedisConnections({ redis: { client } }).open();
    commands = theirs.get().commands;
    await admin.set('counter', '0');
  });
  afterEach(async () => {
    await theirs.onApplicationShutdown();
    client.disconnect();
  });

  it('has nothing sent again when the socket dies', async () => {
    const id = await client.client('ID');
    await admin.client('PAUSE', 60_000, 'WRITE');
    const interrupted = [1, 2, 3].map(() => commands.send('incr', ['counter']));
    for (const each of interrupted) each.catch(() => {});
    await until(async () => (await admin.info('clients')).includes('blocked_clients:1'), { what: 'INCR is held back' });
    await admin.client('KILL', 'ID', id);
    for (const each of interrupted) await expect(each).rejects.toEqual(unavailable('unknown'));
    await admin.client('UNPAUSE');
    expect(await commands.waitUntilUp(5_000)).toBe(true);
    expect(await commands.send('get', ['counter'])).toBe('0');
  });

  it('has nothing wait for the next socket when this one is closing', async () => {
    client.disconnect(true);
    const sent = commands.send('incr', ['counter']);
    await expect(sent).rejects.toEqual(unavailable('not-sent'));
    await until(() => commands.up, { what: 'it is connected again' });
    expect(await commands.send('get', ['counter'])).toBe('0');
  });
});
