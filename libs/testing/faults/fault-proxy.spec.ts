import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../servers/redis-server.js';
import { Commands } from './commands.js';
import { FaultProxy } from './fault-proxy.js';

describe('a fault proxy', () => {
  let redis: RedisServer;
  let admin: Redis;
  let proxy: FaultProxy;
  const clients: Redis[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    admin = new Redis(redis.url);
  });
  afterAll(async () => {
    admin.disconnect();
    await redis.stop();
  });
  beforeEach(async () => {
    await admin.flushall();
    proxy = await FaultProxy.to(redis.port);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await proxy.close();
  });

  /** A client that is ready, and does not repeat what was lost. */
  const client = async (url = proxy.url): Promise<Redis> => {
    const made = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => 5 });
    made.on('error', () => {});
    clients.push(made);
    await made.ping();
    return made;
  };

  /** Some bytes and the chunks of the answer, over a bare socket. */
  const speak = async (text: string, isWhole: (heard: string) => boolean): Promise<string[]> => {
    const socket = connect(proxy.port, '127.0.0.1');
    const chunks: string[] = [];
    socket.on('data', (bytes) => chunks.push(bytes.toString('latin1')));
    await once(socket, 'connect');
    socket.write(text);
    await until(() => isWhole(chunks.join('')), { what: 'all was heard', everyMs: 2 });
    socket.destroy();
    return chunks;
  };

  it('passes everything, in order', async () => {
    const through = await client();
    const big = 'x'.repeat(1_000_000);
    await through.set('big', big);
    expect(await through.get('big')).toBe(big);
    const replies = await Promise.all(Array.from({ length: 500 }, () => through.incr('n')));
    expect(replies).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
  });

  it('delay: what is asked and what is answered arrive later, in order', async () => {
    const through = await client();
    proxy.delay(50);
    const before = performance.now();
    const replies = await Promise.all([through.incr('n'), through.incr('n'), through.incr('n')]);
    // Each of the two timers may fire a millisecond early.
    expect(performance.now() - before).toBeGreaterThanOrEqual(98);
    expect(replies).toEqual([1, 2, 3]);
    // What comes after the end of the delay does not overtake.
    const late = through.incr('n');
    proxy.delay(0);
    expect(await Promise.all([late, through.incr('n')])).toEqual([4, 5]);
    proxy.delay(50);
    const again = performance.now();
    await client();
    expect(performance.now() - again).toBeGreaterThanOrEqual(98);
  });

  it('bytewise: each byte arrives alone', async () => {
    proxy.bytewise();
    const chunks = await speak('PING\r\nPING\r\n', (heard) => heard.endsWith('PONG\r\n+PONG\r\n'));
    expect(chunks.length).toBeGreaterThan(5);
    const through = await client();
    expect(await through.set('a', 'x'.repeat(1_000))).toBe('OK');
    expect(await through.get('a')).toHaveLength(1_000);
    proxy.bytewise(false);
    expect(await through.get('a')).toHaveLength(1_000);
  });

  it('resetAfter: the command was executed, and its connection is reset without an answer', async () => {
    const [through, other] = [await client(), await client()];
    proxy.resetAfter('INCR');
    await expect(through.incr('n')).rejects.toThrow(/closed|ECONNRESET|max retries/i);
    expect(await admin.get('n')).toBe('1');
    expect(await other.ping()).toBe('PONG');
    expect(await through.incr('n')).toBe(2);
  });

  it('resetAfter: a large command is executed whole, and the others before it too', async () => {
    const through = await client();
    proxy.resetAfter('set');
    const answers = [through.incr('n'), through.set('big', 'x'.repeat(2_000_000)), through.incr('n')];
    const outcomes = await Promise.allSettled(answers);
    expect(outcomes[1]?.status).toBe('rejected');
    expect(await admin.strlen('big')).toBe(2_000_000);
    expect(Number(await admin.get('n'))).toBeGreaterThanOrEqual(1);
  });

  it('resetAfter: the client sees a reset, not an end', async () => {
    const socket: Socket = connect(proxy.port, '127.0.0.1');
    await once(socket, 'connect');
    proxy.resetAfter();
    const failed = once(socket, 'error');
    socket.write('PING\r\n').valueOf();
    await expect(failed.then(([error]: Error[]) => error)).resolves.toMatchObject({ code: 'ECONNRESET' });
  });

  it('freeze: the connections that there are become half-open, new ones pass', async () => {
    const through = await client();
    proxy.freeze();
    let answered = false;
    const waiting = through.set('a', 'b').then(
      () => (answered = true),
      () => {},
    );
    expect(await (await client()).get('a')).toBeNull();
    expect(answered).toBe(false);
    proxy.cut();
    await waiting;
    expect(answered).toBe(false);
    expect(await through.set('a', 'c')).toBe('OK');
  });

  it('hold: answers stall until they are released, and messages arrive', async () => {
    const [through, subscriber] = [await client(), await client()];
    const messages: string[] = [];
    subscriber.on('message', (_channel, message) => messages.push(message));
    await subscriber.subscribe('news');
    proxy.hold();
    const stalled = through.incr('n');
    await until(() => proxy.held === ':1\r\n', { what: 'the answer waits', everyMs: 2 });
    await admin.publish('news', 'hello');
    await until(() => messages.length === 1, { what: 'the message arrived', everyMs: 2 });
    expect(proxy.heard).toBeGreaterThan(0);
    proxy.release();
    expect(await stalled).toBe(1);
  });

  it('deafen: subscribers stop hearing, new ones hear', async () => {
    const [deaf, commands] = [await client(), await client()];
    const heard: string[] = [];
    deaf.on('message', () => heard.push('deaf'));
    await deaf.subscribe('news');
    expect(proxy.deafen()).toBe(1);
    expect(proxy.deafen()).toBe(0);
    const fresh = await client();
    fresh.on('message', () => heard.push('fresh'));
    await fresh.subscribe('news');
    await admin.publish('news', 'hello');
    await until(() => heard.length > 0, { what: 'somebody heard', everyMs: 2 });
    expect(heard).toEqual(['fresh']);
    expect(await commands.ping()).toBe('PONG');
  });

  it('switchTo: connections end, and new ones lead to the other server', async () => {
    const second = await startRedis();
    try {
      const through = await client();
      proxy.switchTo(second.port);
      await until(() => through.set('a', 'b').catch(() => false), { what: 'it is connected again' });
      expect(await second.ask((other) => other.get('a'))).toBe('b');
      expect(await admin.get('a')).toBeNull();
    } finally {
      await second.stop();
    }
  });
});

describe('the names of commands', () => {
  const command = (...args: string[]): string =>
    `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
  const sent = command('SET', 'a', 'subscribe\r\n*1') + command('SUBSCRIBE', 'x') + 'PING\r\n' + command('Get', 'a');
  const expected = ['set', 'subscribe', 'ping', 'get'];

  it.each([1, 2, 3, 7, 1_000])('are found in pieces of %i bytes', (size) => {
    const commands = new Commands();
    const bytes = Buffer.from(sent);
    const names: string[] = [];
    for (let at = 0; at < bytes.length; at += size) names.push(...commands.read(bytes.subarray(at, at + size)));
    expect(names).toEqual(expected);
  });
});
