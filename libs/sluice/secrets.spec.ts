import type { Writable } from 'node:stream';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ConsoleLogger } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import {
  CACHE_CHANNELS,
  CacheService,
  LOCK_CHANNELS,
  QUEUE_CHANNELS,
  QueueService,
  REDIS_CHANNELS,
  REDIS_CONNECTIONS,
  SluiceModule,
  subscribeSluice,
  type RedisConnections,
} from './index.js';

const PASSWORD = 'MARKER-PASSWORD';
const PAYLOAD = 'MARKER-PAYLOAD';

/** What people make of an error: every way of Nest's logger, `console.error`, `JSON.stringify`. */
function printed(error: unknown): string {
  const texts: string[] = [inspect(error, { depth: 10, showHidden: true }), JSON.stringify(error), String(error)];
  for (const json of [false, true]) {
    const write = (chunk: unknown): boolean => {
      texts.push(String(chunk));
      return true;
    };
    const spies = [process.stdout, process.stderr].map((stream: Writable) =>
      jest.spyOn(stream, 'write').mockImplementation(write as never),
    );
    const logger = new ConsoleLogger('test', { json });
    logger.error(error);
    logger.error({ err: error });
    logger.error('it failed', error);
    for (const spy of spies) spy.mockRestore();
  }
  return texts.join('\n');
}

async function errorOf(call: () => Promise<unknown>): Promise<Error> {
  return call().then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as Error,
  );
}

describe('secrets and payloads', () => {
  let redis: RedisServer;
  let admin: Redis;
  let app: TestingModule;
  let connections: RedisConnections;
  const told: string[] = [];
  const stops: (() => void)[] = [];
  const boot = async (url: string): Promise<TestingModule> => {
    const module = await Test.createTestingModule({
      imports: [SluiceModule.forRoot({ redis: { url, commandTimeoutMs: 500 }, queue: { consumers: false } })],
    }).compile();
    return module.init();
  };

  beforeAll(async () => {
    redis = await startRedis();
    admin = new Redis(redis.url);
    await admin.acl('SETUSER', 'app', 'on', `>${PASSWORD}`, '~*', '&*', '+@all');
    const names = [LOCK_CHANNELS, CACHE_CHANNELS, QUEUE_CHANNELS, REDIS_CHANNELS].flatMap((each) =>
      Object.values(each),
    );
    for (const name of names) stops.push(subscribeSluice(name, (message) => told.push(printed(message))));
    app = await boot(redis.url.replace('//', `//app:${PASSWORD}@`));
    connections = app.get<RedisConnections>(REDIS_CONNECTIONS);
    for (const level of ['warn', 'error', 'log'] as const) {
      jest.spyOn(connections.logger, level).mockImplementation((message: unknown) => void told.push(printed(message)));
    }
  });
  afterEach(async () => {
    await admin.config('SET', 'maxmemory', '0');
  });
  afterAll(async () => {
    for (const stop of stops) stop();
    await app.close();
    admin.disconnect();
    await redis.stop();
  });

  const sends: [string, () => Promise<unknown>][] = [
    ['publish', () => app.get(QueueService).publish('tasks', { note: PAYLOAD })],
    ['a delayed publish', () => app.get(QueueService).publish('tasks', { note: PAYLOAD }, { delayMs: 60_000 })],
    ['publishMany', () => app.get(QueueService).publishMany('tasks', [{ note: PAYLOAD }])],
    ['queue.raw.publish', () => app.get(QueueService).raw.publish('tasks', PAYLOAD)],
    ['cache.set', () => app.get(CacheService).set('k', PAYLOAD)],
    ['cache.raw.set', () => app.get(CacheService).raw.set('raw', PAYLOAD, 60_000)],
    ['a command', () => connections.get().commands.send('set', ['k', PAYLOAD, PASSWORD])],
  ];

  it.each(sends)('are in no error of %s on a server that is full', async (_, send) => {
    await admin.config('SET', 'maxmemory', '1');
    expect(printed(await errorOf(send))).not.toContain('MARKER');
  });

  it.each(sends)('are in no error of %s on a server that does not answer', async (_, send) => {
    redis.pause();
    try {
      expect(printed(await errorOf(send))).not.toContain('MARKER');
    } finally {
      redis.resume();
    }
    await until(() => connections.get().commands.up, { what: 'it is up' });
  });

  it.each([
    ['a wrong type', 'xadd', ['text', '*', 'payload', PAYLOAD]],
    ['a syntax error', 'set', ['k', 'v', PAYLOAD]],
    ['an unknown command', 'nosuch', [PAYLOAD, PASSWORD]],
    ['too few arguments', 'hset', [PAYLOAD, PAYLOAD]],
  ])('are in no error of %s', async (_, command, args) => {
    await admin.set('text', 'x');
    const error = await errorOf(() => connections.get().commands.send(command, args));
    expect(error).toMatchObject({ code: 'SLUICE_REDIS_REFUSED' });
    expect(printed(error)).not.toContain('MARKER');
  });

  it.each([
    (url: string): string => url.replace('//', `//app:${PASSWORD}-of-yesterday@`),
    (): string => `redis://127.0.0.1:1?password=${PASSWORD}`,
    (): string => `redis://app:${PASSWORD}@127.0.0.1:1`,
    (): string => `127.0.0.1:6380,password=${PASSWORD},ssl=True`,
  ])(
    'are in no error of a boot that fails, case %#',
    async (url) => {
      const error = await errorOf(async () => (await boot(url(redis.url))).close());
      expect(error).toMatchObject({ code: expect.stringMatching(/^SLUICE_(REDIS_UNREACHABLE|BAD_OPTION)$/) });
      expect(printed(error)).not.toContain('MARKER');
    },
    30_000,
  );

  it('are in no error after the password was changed, nor in the log, nor on a channel', async () => {
    await admin.acl('SETUSER', 'app', 'resetpass', '>another');
    await admin.client('KILL', 'USER', 'app');
    await until(() => !connections.get().stats.up, { what: 'it is told' });
    await until(
      async () => {
        const error = await errorOf(() => connections.get().commands.send('get', ['k']));
        expect(printed(error)).not.toContain('MARKER');
        return inspect(error).includes('WRONGPASS');
      },
      { what: 'the error tells why' },
    );
    await admin.acl('SETUSER', 'app', 'resetpass', `>${PASSWORD}`);
    await until(() => connections.get().stats.up, { what: 'it is back' });
    expect(told.length).toBeGreaterThan(2);
    expect(told.join('\n')).not.toContain('MARKER');
  });
});
