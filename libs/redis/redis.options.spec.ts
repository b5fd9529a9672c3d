import { describe, expect, it } from '@jest/globals';
import { resolveRedisOptions } from './redis.options.js';

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
    ['a flag that is none', { required: 'yes' }, 'SLUICE_BAD_OPTION', 'redis.required'],
  ])('refuses %s', (_, options, code, message) => {
    expect(() => resolveRedisOptions(options as never)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  it.each(['http://user:secret@a', 'redis://user:sec/ret@a', 'redis://:a/b@secret@h'])('does not tell %s', (url) => {
    expect(() => resolveRedisOptions({ url })).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/sec|a\/b/) }),
    );
  });
});
