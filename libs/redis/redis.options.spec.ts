import { describe, expect, it } from '@jest/globals';
import { resolveRedisOptions, shown } from './redis.options.js';

describe('redis options', () => {
  it('defaults to the local Redis', () => {
    expect(resolveRedisOptions(undefined)).toMatchObject([
      { name: 'default', url: 'redis://localhost:6379', required: true, commandTimeoutMs: 5_000, bootTimeoutMs: 5_000 },
    ]);
  });

  it('passes ioredis options through, sentinels among them', () => {
    const sentinels = [{ host: 's1', port: 26379 }];
    expect(resolveRedisOptions({ sentinels, name: 'main', password: 'p', required: false })).toMatchObject([
      { url: undefined, required: false, clientOptions: { sentinels, name: 'main', password: 'p' } },
    ]);
  });

  it('names connections', () => {
    const connections = { default: { url: 'redis://a' }, cache: { host: 'b' } };
    expect(resolveRedisOptions({ connections }).map(({ name, url }) => [name, url])).toEqual([
      ['default', 'redis://a'],
      ['cache', undefined],
    ]);
  });

  it.each<[string, unknown, string, string]>([
    ['a cluster', { cluster: [{ host: 'a' }] }, 'SLUICE_CLUSTER_UNSUPPORTED', 'Sentinel'],
    ['a cluster client', { client: { isCluster: true } }, 'SLUICE_CLUSTER_UNSUPPORTED', 'Sentinel'],
    ['keyPrefix', { host: 'a', keyPrefix: 'x:' }, 'SLUICE_KEY_PREFIX', 'namespace'],
    [
      'a client with keyPrefix',
      { client: { sendCommand: () => {}, options: { keyPrefix: 'x:' } } },
      'SLUICE_KEY_PREFIX',
      'namespace',
    ],
    [
      'credentials that are none',
      { credentials: { password: 'MARKER' } },
      'SLUICE_BAD_OPTION',
      'redis.credentials must',
    ],
    ['credentials without a value', { credentials: undefined }, 'SLUICE_BAD_OPTION', 'redis.credentials is undefined'],
    [
      'credentials and a password',
      { host: 'a', password: 'MARKER', credentials: () => {} },
      'SLUICE_BAD_OPTION',
      'redis.password is given',
    ],
    [
      'credentials and a URL with a password',
      { url: 'redis://:MARKER@a', credentials: () => {} },
      'SLUICE_BAD_OPTION',
      'redis.url has a user or a password',
    ],
    [
      'credentials for a client',
      { client: { sendCommand: () => {}, options: {} }, credentials: () => {} },
      'SLUICE_BAD_OPTION',
      'stands beside redis.client',
    ],
    [
      'credentials for Sentinels without Sentinels',
      { host: 'a', sentinelCredentials: () => {} },
      'SLUICE_BAD_OPTION',
      'redis.sentinels must',
    ],
    [
      'credentials for Sentinels and a password',
      { sentinels: [], name: 'a', sentinelPassword: 'MARKER', sentinelCredentials: () => {} },
      'SLUICE_BAD_OPTION',
      'redis.sentinelPassword is given',
    ],
    ['something else as client', { client: {} }, 'SLUICE_BAD_OPTION', 'redis.client'],
    [
      'client and url',
      { client: { sendCommand: () => {}, options: {} }, url: 'redis://a' },
      'SLUICE_BAD_OPTION',
      'not both',
    ],
    ['a URL of another kind', { url: 'http://a' }, 'SLUICE_BAD_OPTION', 'redis.url'],
    ['an empty URL', { url: '' }, 'SLUICE_BAD_OPTION', 'redis.url'],
    ['no connections', { connections: {} }, 'SLUICE_BAD_OPTION', 'redis.connections'],
    [
      'options beside connections',
      { connections: { default: {} }, url: 'redis://a' },
      'SLUICE_BAD_OPTION',
      'redis.url',
    ],
    ['a timeout that is none', { commandTimeoutMs: NaN }, 'SLUICE_BAD_OPTION', 'redis.commandTimeoutMs'],
    [
      'in a named one',
      { connections: { cache: { bootTimeoutMs: 0 } } },
      'SLUICE_BAD_OPTION',
      'connections.cache.bootTimeoutMs',
    ],
    ['a URL in place of options', 'redis://a', 'SLUICE_BAD_OPTION', 'redis must be'],
    ['nothing in place of connections', { connections: null }, 'SLUICE_BAD_OPTION', 'redis.connections'],
    ['a URL that cannot be read', { url: 'redis://:pass/word@a' }, 'SLUICE_BAD_OPTION', 'redis.url'],
    [
      'a client that tells numbers as strings',
      { client: { sendCommand: () => {}, options: { stringNumbers: true } } },
      'SLUICE_BAD_OPTION',
      'stringNumbers',
    ],
    [
      'a client that monitors',
      { client: { sendCommand: () => {}, options: { monitor: true } } },
      'SLUICE_BAD_OPTION',
      'redis.client is in monitor mode',
    ],
    ['a URL in a list', { url: ['redis://a'] }, 'SLUICE_BAD_OPTION', 'redis.url'],
    ['a URL without a value', { url: undefined }, 'SLUICE_BAD_OPTION', 'redis.url is undefined'],
    ['a host without a value', { host: undefined, port: 1 }, 'SLUICE_BAD_OPTION', 'redis.host is undefined'],
    [
      'a client without a value, in a named one',
      { connections: { cache: { client: undefined } } },
      'SLUICE_BAD_OPTION',
      'redis.connections.cache.client is undefined',
    ],
    ['a flag that is none', { required: 'yes' }, 'SLUICE_BAD_OPTION', 'redis.required'],
  ])('refuses %s', (_, options, code, message) => {
    expect(() => resolveRedisOptions(options as never)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  it.each<[unknown]>([
    [{ url: 'http://user:secret@a' }],
    [{ url: 'redis://user:sec/ret@a' }],
    [{ url: 'redis://:a/b@secret@h' }],
    [{ url: 'cache.example:6380,password=secret,ssl=True' }],
    [{ url: 'user:secret@host' }],
    [{ url: 'redis:/user:secret@h' }],
    [{ url: ['redis://:secret@h'] }],
    [{ client: 'redis://:secret@h' }],
    [{ client: { password: 'secret' } }],
    ['redis://:secret@h'],
    ['secret'],
    [{ connections: ['redis://:secret@h'] }],
  ])('does not tell the password in %j', (options) => {
    expect(() => resolveRedisOptions(options as never)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.not.stringMatching(/sec|a\/b/) }),
    );
  });

  it.each([
    ['rediss://user:secret@host:6380/3?password=secret', 'rediss://***@host:6380/3'],
    ['redis://host', 'redis://host'],
    ['redis://:sec@ret@host/secret', 'redis://***@host'],
  ])('shows of %s where it leads', (url, expected) => {
    expect(shown(url)).toBe(expected);
  });
});
