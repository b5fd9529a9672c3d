import { createServer, type AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { itOnPlainRedis } from '../../test/support/cluster-mode.js';
import { until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import type { RedisConnections } from './connection/connections.js';
import { REDIS_CONNECTIONS, SluiceRedisModule, type SluiceRedisModuleOptions } from './redis.module.js';

let redis: RedisServer;
let admin: Redis;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

async function boot(module: Parameters<typeof Test.createTestingModule>[0]['imports']): Promise<RedisConnections> {
  const app = await Test.createTestingModule({ imports: module ?? [] }).compile();
  await app.init();
  closing.push(() => app.close());
  return app.get<RedisConnections>(REDIS_CONNECTIONS);
}

const sockets = async (): Promise<number> =>
  String(await admin.client('LIST'))
    .trim()
    .split('\n').length - 1;

describe('SluiceRedisModule', () => {
  it('opens two sockets, and leaves none', async () => {
    const app = await Test.createTestingModule({
      imports: [SluiceRedisModule.forRoot({ namespace: 'shop', redis: { url: redis.url } })],
    }).compile();
    await app.init();
    expect(await sockets()).toBe(2);
    expect(app.get<RedisConnections>(REDIS_CONNECTIONS).keyspace.namespace).toBe('shop');
    await app.close();
    await until(async () => (await sockets()) === 0, { what: 'the sockets are closed' });
  });

  it('takes its options from a factory or a class', async () => {
    class Options {
      createRedisOptions(): SluiceRedisModuleOptions {
        return { redis: { url: redis.url } };
      }
    }
    @Module({ providers: [{ provide: 'URL', useValue: redis.url }], exports: ['URL'] })
    class Config {}
    const fromFactory = await boot([
      SluiceRedisModule.forRootAsync({
        imports: [Config],
        inject: ['URL'],
        useFactory: (url: string) => ({ redis: { url } }),
      }),
    ]);
    expect(await fromFactory.get().commands.send('ping')).toBe('PONG');
    const fromClass = await boot([SluiceRedisModule.forRootAsync({ useClass: Options })]);
    expect(await fromClass.get().commands.send('ping')).toBe('PONG');
  });

  it("uses the user's client, connected or lazy, and never closes it", async () => {
    const client = new Redis(redis.url, { lazyConnect: true });
    closing.push(() => client.quit());
    const app = await Test.createTestingModule({
      imports: [SluiceRedisModule.forRoot({ redis: { client } })],
    }).compile();
    await app.init();
    const { commands } = app.get<RedisConnections>(REDIS_CONNECTIONS).get();
    expect(commands.client).toBe(client);
    await commands.send('set', ['mine', '1']);
    const listeners = (): number =>
      client.listenerCount('close') + client.listenerCount('ready') + client.listenerCount('error');
    expect(listeners()).toBe(3);
    await app.close();
    expect(listeners()).toBe(0);
    expect(await client.get('mine')).toBe('1');
    await until(async () => (await sockets()) === 1, { what: 'only the user’s socket is left' });
  });

  itOnPlainRedis('keeps connections apart by name, and names those that exist', async () => {
    const connections = await boot([
      SluiceRedisModule.forRoot({
        redis: { connections: { default: { url: redis.url }, cache: { url: `${redis.url}/3` } } },
      }),
    ]);
    await connections.get('cache').commands.send('set', ['where', '3']);
    expect(await connections.get().commands.send('exists', ['where'])).toBe(0);
    expect(() => connections.get('locks')).toThrow(
      expect.objectContaining({
        code: 'SLUICE_UNKNOWN_CONNECTION',
        message: "there is no Redis connection 'locks'; redis.connections has 'default', 'cache'",
      }),
    );
  });

  it('fails the boot when Redis cannot be reached: what was tried, no password, no socket left', async () => {
    const url = 'redis://user:secret@127.0.0.1:1';
    const failed = boot([SluiceRedisModule.forRoot({ redis: { url, bootTimeoutMs: 200 } })]);
    await expect(failed).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNREACHABLE',
      message: expect.stringMatching(/'default' \(redis:\/\/\*\*\*@127.0.0.1:1\).*200 ms.*ECONNREFUSED/),
    });
    await expect(failed).rejects.not.toThrow('secret');
  });

  it('does not blame Redis when the app is closed while it boots, and leaves no socket', async () => {
    const app = await Test.createTestingModule({
      imports: [SluiceRedisModule.forRoot({ redis: { url: redis.url } })],
    }).compile();
    const booted = app.init();
    const failed = expect(booted).rejects.toMatchObject({
      code: 'SLUICE_CLOSED',
      message: "the app was closed before Redis connection 'default' was open: its boot goes no further",
    });
    await app.get<RedisConnections>(REDIS_CONNECTIONS).onApplicationShutdown();
    await failed;
    await until(async () => (await sockets()) === 0, { what: 'the sockets are closed' });
  });

  it('fails the boot at once when the server refuses the credentials, and tells no part of them', async () => {
    const url = redis.url.replace('//', '//app:secret@');
    const failed = boot([SluiceRedisModule.forRoot({ redis: { url, bootTimeoutMs: 600_000 } })]);
    const error = await failed.then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    expect(error).toMatchObject({
      code: 'SLUICE_REDIS_UNREACHABLE',
      message: expect.stringMatching(/refused the credentials: WRONGPASS [^.]+\. Correct username and password/),
    });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('secret');
  });

  it.each([
    [
      'an option of a connection',
      () => SluiceRedisModule.forRoot({ url: redis.url } as never),
      'SluiceRedisModule.url',
    ],
    [
      'a factory that returns nothing',
      () => SluiceRedisModule.forRootAsync({ useFactory: () => undefined as never }),
      'no options',
    ],
  ])('refuses %s', async (_, module, message) => {
    await expect(boot([module()])).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining(message),
    });
  });

  it.each(['redis://user:sec@ret@127.0.0.1:1', 'redis://127.0.0.1:1?password=secret'])(
    'tells no part of the password in %s',
    async (url) => {
      const failed = boot([SluiceRedisModule.forRoot({ redis: { url, bootTimeoutMs: 100 } })]);
      await expect(failed).rejects.toThrow('127.0.0.1:1)');
      await expect(failed).rejects.not.toThrow('ret');
    },
  );

  it('keeps replies and blocking reads as they are, whatever the options for ioredis say', async () => {
    const times = { socketTimeout: 30, blockingTimeout: 30, commandTimeout: 30 };
    const odd = { url: redis.url, stringNumbers: true, monitor: true, ...times };
    const connections = await boot([SluiceRedisModule.forRoot({ redis: odd })]);
    expect(await connections.get().commands.send('del', ['nothing'])).toBe(0);
    const link = connections.get().openLink('blocking');
    await link.waitUntilUp(5_000);
    expect(await link.send('blpop', ['nothing', '0.2'])).toBeNull();
    expect(link.up).toBe(true);
  });

  it('fails the boot when something listens that never answers', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    closing.push(() => silent.close());
    await until(() => silent.listening, { what: 'it listens' });
    const { port } = silent.address() as AddressInfo;
    const options = { redis: { host: '127.0.0.1', port, bootTimeoutMs: 200 } };
    await expect(boot([SluiceRedisModule.forRoot(options)])).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNREACHABLE',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });

  it('connects for whoever needs it earlier than the app, and not at all for an app that cannot be assembled', async () => {
    @Module({
      providers: [
        {
          provide: 'EARLY',
          inject: [REDIS_CONNECTIONS],
          useFactory: (connections: RedisConnections) =>
            Promise.all([1, 2].map(() => connections.get().commands.send('ping'))),
        },
      ],
    })
    class Early {}
    const module = SluiceRedisModule.forRoot({ redis: { url: redis.url } });
    const app = await Test.createTestingModule({ imports: [module, Early] }).compile();
    expect(app.get('EARLY', { strict: false })).toEqual(['PONG', 'PONG']);
    await app.close();

    @Module({ providers: [{ provide: 'BROKEN', inject: ['NOWHERE'], useFactory: () => 1 }] })
    class Broken {}
    await until(async () => (await sockets()) === 0, { what: 'the sockets are closed' });
    await expect(boot([SluiceRedisModule.forRoot({ redis: { url: redis.url } }), Broken])).rejects.toThrow('NOWHERE');
    expect(await sockets()).toBe(0);
  });

  it('boots without Redis when it is not required, and connects when it comes', async () => {
    const other = await startRedis();
    closing.push(() => other.stop());
    await other.kill();
    const connections = await boot([SluiceRedisModule.forRoot({ redis: { url: other.url, required: false } })]);
    const { commands } = connections.get();
    await expect(commands.send('ping')).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    await other.restart();
    expect(await commands.waitUntilUp(5_000)).toBe(true);
  });
});
