import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from '../connection/connections.js';
import { systemClock } from '../time/clock.js';
import { CredentialSource, type RedisCredentials } from './credentials.js';
import type { ConnectionOptions } from '../redis.options.js';

let redis: RedisServer;
let admin: Redis;
let opened: RedisConnections[];
let told: string[];
beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  opened = [];
  told = [];
});
afterEach(async () => {
  await Promise.all(opened.map((each) => each.onApplicationShutdown()));
  admin.disconnect();
  await redis.stop();
});

function connect(options: ConnectionOptions): RedisConnections {
  const connections = new RedisConnections({ redis: { url: redis.url, bootTimeoutMs: 60_000, ...options } });
  opened.push(connections);
  for (const level of ['log', 'warn', 'error'] as const) {
    jest.spyOn(connections.logger, level).mockImplementation((message: unknown) => void told.push(inspect(message)));
  }
  return connections;
}

const user = (password: string): Promise<unknown> =>
  admin.acl('SETUSER', 'app', 'on', 'resetpass', `>${password}`, '~*', '&*', '+@all');

/** The purposes of the sockets of our user. */
const sockets = async (): Promise<string> =>
  [...String(await admin.client('LIST')).matchAll(/ name=sluice:(\S*) .* user=app /g)]
    .map(([, name]) => name)
    .sort()
    .join();

describe('a function for credentials', () => {
  it('leaves nothing behind when it is asked again and again in one connect', async () => {
    const ask = async (): Promise<RedisCredentials> => Promise.reject(new Error('down'));
    const source = new CredentialSource({ option: 'credentials', ask, clock: systemClock, timeoutMs: 60_000 });
    const { signal } = new AbortController();
    for (let n = 0; n < 3; n++) await expect(source.ask(signal)).rejects.toThrow('credentials() failed: down');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('is called for every connect of every socket, again after a rotation', async () => {
    await user('first');
    let password = 'first';
    const credentials = jest.fn(async (): Promise<RedisCredentials> => Promise.resolve({ username: 'app', password }));
    const connections = connect({ credentials });
    const connection = connections.get();
    connection.track(['k'], () => {});
    await connections.open();
    const reader = connection.openLink('reader');
    const all = async (): Promise<boolean> => (await sockets()) === 'commands,reader,subscriber,tracking';
    await until(all, { what: 'all have logged in' });
    expect(credentials.mock.calls.length).toBeGreaterThanOrEqual(4);

    password = 'second';
    await user('second');
    // The sockets are logged in already.
    expect(await connection.commands.send('ping')).toBe('PONG');
    await admin.client('KILL', 'USER', 'app');
    await until(async () => reader.up && connection.stats.up && (await all()), { what: 'all have logged in again' });
    expect(await connection.commands.send('set', ['k', 'v'])).toBe('OK');
    expect(await reader.send('get', ['k'])).toBe('v');
    expect(credentials.mock.calls.length).toBeGreaterThanOrEqual(8);
    expect(told.join('\n')).not.toMatch(/first|second|NOAUTH|WRONGPASS/);
  });

  it('may give a password alone', async () => {
    await admin.config('SET', 'requirepass', 'secret');
    await connect({ credentials: () => ({ password: 'secret' }) }).open();
  });

  it('is asked again when the server does not know its answer yet', async () => {
    await user('new');
    let password = 'new';
    const connections = await connect({ credentials: () => ({ username: 'app', password }) }).open();
    password = 'from tomorrow on';
    await admin.client('KILL', 'USER', 'app');
    await until(() => connections.get().commands.lastError?.message.startsWith('WRONGPASS'), { what: 'it is refused' });
    await user('from tomorrow on');
    await until(() => connections.get().stats.up, { what: 'it is let in' });
  });

  it.each<[string, () => never, RegExp]>([
    ['rejects', () => Promise.reject(new Error('token service is down')) as never, /failed: token service is down/],
    [
      'throws',
      () => {
        throw new Error('no role');
      },
      /failed: no role/,
    ],
    ['hangs', () => new Promise(() => {}) as never, /failed: no answer within 250 ms/],
    ['answers nothing', () => undefined as never, /must resolve to \{ username, password \}, and gave no password/],
    ['has a user that is none', () => ({ username: 1, password: 'MARKER' }) as never, /a username that is no text/],
  ])('fails the boot with a clear reason if it %s', async (_, credentials, reason) => {
    const error: unknown = await connect({ credentials, bootTimeoutMs: 500 })
      .open()
      .catch((failed: unknown) => failed);
    expect(error).toMatchObject({ code: 'SLUICE_REDIS_UNREACHABLE', message: expect.stringMatching(reason) });
    expect((error as Error).message).toMatch(/: credentials\(\) failed/);
    expect(inspect(error)).not.toContain('MARKER');
  });

  it('is called with growing pauses while it fails, and everything works once it answers', async () => {
    await user('first');
    let failing = false;
    const credentials = jest.fn((): RedisCredentials => {
      if (failing) throw new Error('token service is down');
      return { username: 'app', password: 'first' };
    });
    const connections = await connect({ credentials }).open();
    const { commands } = connections.get();
    failing = true;
    credentials.mockClear();
    await admin.client('KILL', 'USER', 'app');
    await until(() => credentials.mock.calls.length >= 6, { what: 'it was asked a few times' });
    await expect(commands.send('ping')).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNAVAILABLE',
      outcome: 'not-sent',
      cause: { message: 'credentials() failed: token service is down' },
    });
    failing = false;
    await until(() => commands.up, { what: 'it is connected' });
    expect(await commands.send('ping')).toBe('PONG');
  });

  it.each<[string, () => Promise<never>]>([
    ['hangs', () => new Promise(() => {})],
    ['has failed often', () => Promise.reject(new Error('no'))],
  ])('does not hold up a stop while it %s', async (_, answer) => {
    const credentials = jest.fn(answer);
    const connections = connect({ credentials, required: false, commandTimeoutMs: 600_000, bootTimeoutMs: 600_000 });
    await connections.open();
    const often = answer.toString().includes('no') ? 9 : 1;
    await until(() => credentials.mock.calls.length >= often, { what: 'it was asked' });
    const beganMs = performance.now();
    await connections.onApplicationShutdown();
    // The pauses are seconds long by then.
    expect(performance.now() - beganMs).toBeLessThan(1_000);
  });
});
