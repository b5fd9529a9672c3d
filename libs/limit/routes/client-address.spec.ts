import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get, Logger, type ExecutionContext } from '@nestjs/common';
import { LimitedApps } from '../../../test/support/limited-app.js';
import { RateLimit, addressKey, defineRateLimit } from '../index.js';
import { ClientAddress } from './client-address.js';

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
  ['2001:db8::', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['2001:db8:1:2::192.0.2.1', '2001:db8:1:2::/64'],
  ['::1:ffff:192.0.2.1', '0:0:0:0::/64'],
  ['192.0.2.1:5678', '192.0.2.1'],
  ['[2001:db8:1:2::1]:5678', '2001:db8:1:2::/64'],
  ['[2001:db8:1:2::1]', '2001:db8:1:2::/64'],
  ['[::ffff:192.0.2.1]:5678', '192.0.2.1'],
  ['unknown', 'unknown'],
])('the key of the address %s is %s', (address, key) => {
  expect(addressKey(address)).toBe(key);
});

describe("by: 'ip'", () => {
  const apps = new LimitedApps();
  beforeAll(() => apps.start());
  afterEach(async () => {
    jest.restoreAllMocks();
    await apps.clear();
  });
  afterAll(() => apps.stop());

  const Once = defineRateLimit('once', { limit: 1, perMs: 60_000 });
  @Controller()
  class Shop {
    @Get('ip')
    @RateLimit(Once, { by: 'ip' })
    ip(): string {
      return 'ok';
    }
  }
  const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });

  it('clients behind a proxy that is not trusted share one limit, which is warned of once', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
    await apps.boot({}, { controllers: [Shop] });
    expect(await apps.statuses('ip', 1, from('192.0.2.1'))).toEqual([200]);
    expect(await apps.statuses('ip', 1, from('192.0.2.2'))).toEqual([429]);
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/X-Forwarded-For, but no proxy is trusted/)]]);
  });

  it('clients behind a trusted proxy have limits of their own, an IPv6 network one', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
    await apps.boot({}, { controllers: [Shop] }, (app) => app.set('trust proxy', 1));
    expect(await apps.statuses('ip', 2, from('192.0.2.1'))).toEqual([200, 429]);
    expect(await apps.statuses('ip', 1, from('2001:db8:1:2::1'))).toEqual([200]);
    expect(await apps.statuses('ip', 1, from('2001:db8:1:2::2'))).toEqual([429]);
    expect(await apps.statuses('ip', 1, from('2001:db8:1:3::1'))).toEqual([200]);
    expect(warn).not.toHaveBeenCalled();
  });

  it('a client has one limit whatever port the proxy writes after its address', async () => {
    await apps.boot({}, { controllers: [Shop] }, (app) => app.set('trust proxy', 1));
    expect(await apps.statuses('ip', 1, from('192.0.2.1:50001'))).toEqual([200]);
    expect(await apps.statuses('ip', 1, from('192.0.2.1:50002'))).toEqual([429]);
  });

  it('an app that trusts every address is warned of once, because clients may write any', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
    await apps.boot({}, { controllers: [Shop] }, (app) => app.set('trust proxy', true));
    await apps.statuses('ip', 2, from('192.0.2.1'));
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/'trust proxy' is true: then a client may write any/)]]);
  });

  it('an app without a proxy is not warned of', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
    await apps.boot({}, { controllers: [Shop] });
    await apps.get('ip');
    expect(warn).not.toHaveBeenCalled();
  });

  const of = (type: string, args: unknown[]) => {
    const context = { getType: () => type, getArgByIndex: (i: number) => args[i] };
    return new ClientAddress().of(context as unknown as ExecutionContext);
  };

  it.each<[string, string, unknown[], string | undefined]>([
    ['a request of Fastify', 'http', [{ ip: '192.0.2.1' }], '192.0.2.1'],
    ['a client of Socket.IO', 'ws', [{ handshake: { address: '::ffff:192.0.2.1' } }], '192.0.2.1'],
    ['a client of ws', 'ws', [{ _socket: { remoteAddress: '192.0.2.1' } }], '192.0.2.1'],
    ['a field of GraphQL', 'graphql', [{}, {}, { req: { ip: '192.0.2.1' } }], '192.0.2.1'],
    ['a field of mercurius', 'graphql', [{}, {}, { reply: { request: { ip: '192.0.2.1' } } }], '192.0.2.1'],
    [
      'a subscription of graphql-ws',
      'graphql',
      [{}, {}, { req: { extra: { request: { socket: { remoteAddress: '192.0.2.1' } } } } }],
      '192.0.2.1',
    ],
    ['a message', 'rpc', [{}], undefined],
    ['a request through a Unix socket', 'http', [{ ip: undefined, socket: { remoteAddress: '' } }], undefined],
    ['a field without a request', 'graphql', [{}, {}, {}], undefined],
    ['a field without a context', 'graphql', [{}, {}], undefined],
  ])('the address of %s', (_, type, args, address) => {
    expect(of(type, args)).toBe(address);
  });
});
