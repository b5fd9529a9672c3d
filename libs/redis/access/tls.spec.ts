import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import {
  CertificateAuthority,
  startRedis,
  type IssueOptions,
  type IssuedCertificate,
  type RedisServer,
} from '../../testing/index.js';
import { RedisConnections } from '../connection/connections.js';
import type { ConnectionOptions } from '../redis.options.js';

const ours = new CertificateAuthority();
const another = new CertificateAuthority();
let dir: string;
const servers: RedisServer[] = [];
const opened: RedisConnections[] = [];
const clients: Redis[] = [];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.onApplicationShutdown()));
  for (const client of clients.splice(0)) client.disconnect();
  await Promise.all(servers.splice(0).map((each) => each.stop()));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

let written = 0;
function fileOf(pem: string): string {
  const file = join(dir, `${++written}.pem`);
  writeFileSync(file, pem);
  return file;
}

/** A Redis with a port for TLS beside the plain one. */
async function startWith(
  { certificate, key }: IssuedCertificate,
  { clientCertificates = 'no' } = {},
): Promise<RedisServer & { tlsPort: number }> {
  const options = ['--tls-cert-file', fileOf(certificate), '--tls-key-file', fileOf(key)];
  options.push('--tls-ca-cert-file', fileOf(ours.certificate));
  const redis = await startRedis({ args: [...options, '--tls-auth-clients', clientCertificates] });
  servers.push(redis);
  const admin = new Redis(redis.url);
  clients.push(admin);
  for (;;) {
    const tlsPort = randomInt(20_000, 32_768);
    const set = await admin.config('SET', 'tls-port', tlsPort).catch(() => undefined);
    if (set === 'OK') return Object.assign(redis, { tlsPort });
  }
}

async function open(options: ConnectionOptions): Promise<RedisConnections> {
  const connections = new RedisConnections({ redis: { bootTimeoutMs: 60_000, ...options } });
  opened.push(connections);
  return connections.open();
}

describe('TLS', () => {
  it('connects by name and by address, and with a certificate of its own', async () => {
    const redis = await startWith(ours.issue(), { clientCertificates: 'yes' });
    const { certificate, key } = ours.issue();
    const tls = { ca: ours.certificate, cert: certificate, key };
    for (const host of ['localhost', '127.0.0.1']) {
      const { commands } = (await open({ url: `rediss://${host}:${redis.tlsPort}`, tls })).get();
      expect(await commands.send('ping')).toBe('PONG');
      expect((commands.client.stream as TLSSocket).authorized).toBe(true);
    }
  });

  it.each<[string, object, (port: number, plain: number) => ConnectionOptions, RegExp]>([
    [
      'no trusted authority',
      {},
      (port) => ({ url: `rediss://localhost:${port}` }),
      /self-signed certificate.*not trusted.*redis\.tls\.ca/,
    ],
    [
      'the authority of somebody else',
      {},
      (port) => ({ host: 'localhost', port, tls: { ca: another.certificate } }),
      /self-signed certificate.*not trusted.*redis\.tls\.ca/,
    ],
    [
      'an expired certificate',
      { expired: true },
      (port) => ({ url: `rediss://localhost:${port}`, tls: { ca: ours.certificate } }),
      /certificate has expired.*Renew/,
    ],
    [
      'another host name',
      { names: ['redis.example'] },
      (port) => ({ url: `rediss://localhost:${port}`, tls: { ca: ours.certificate } }),
      /localhost.*redis\.example.*tls\.servername/,
    ],
    [
      'no certificate of its own, though it must have one',
      { clientCertificates: 'yes' },
      (port) => ({ url: `rediss://localhost:${port}`, tls: { ca: ours.certificate } }),
      /redis\.tls\.cert/,
    ],
    ['a plain connection to a port with TLS', {}, (port) => ({ url: `redis://localhost:${port}` }), /rediss:/],
    [
      'a Sentinel that is not trusted',
      {},
      (port) => ({ sentinels: [{ host: 'localhost', port }], name: 'main', sentinelTLS: {} }),
      /self-signed certificate.*not trusted.*redis\.tls\.ca/,
    ],
    [
      'TLS to a plain port',
      {},
      (_, plain) => ({ url: `rediss://localhost:${plain}`, tls: { ca: ours.certificate } }),
      /TLS.*redis:\/\//,
    ],
  ])('fails the boot with the reason: %s', async (_, server, options, reason) => {
    const { clientCertificates = 'no', ...certificate } = server as IssueOptions & { clientCertificates?: string };
    const redis = await startWith(ours.issue(certificate), { clientCertificates });
    const attempt = async (): Promise<string> => {
      const boot = open({ bootTimeoutMs: 1_000, ...options(redis.tlsPort, redis.port) });
      const error: unknown = await boot.catch((failed: unknown) => failed);
      expect(error).toMatchObject({ code: 'SLUICE_REDIS_UNREACHABLE' });
      return (error as Error).message;
    };
    // On a busy machine, nothing may have come within a second.
    await until(async () => reason.test(await attempt()), { what: 'the reason is told' });
  });

  it('reports a certificate that was changed under a running app, and goes on once it is good again', async () => {
    const good = ours.issue();
    const bad = another.issue();
    const redis = await startWith(good);
    const admin = clients[0]!;
    const connection = (
      await open({ url: `rediss://localhost:${redis.tlsPort}`, tls: { ca: ours.certificate } })
    ).get();
    const show = ({ certificate, key }: IssuedCertificate): Promise<unknown> =>
      admin.config('SET', 'tls-cert-file', fileOf(certificate), 'tls-key-file', fileOf(key));
    await show(bad);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await until(() => connection.commands.lastError?.message.includes('certificate'), { what: 'the reason is known' });
    await expect(connection.commands.send('ping')).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    await show(good);
    await until(() => connection.stats.up, { what: 'it is back' });
    expect(await connection.commands.send('ping')).toBe('PONG');
  });

  it.each<[string, (url: string) => Promise<RedisConnections>]>([
    ['of ours', (url) => open({ url, tls: { ca: ours.certificate } })],
    [
      'that the user gave',
      (url) => {
        const client = new Redis(url, { tls: { ca: ours.certificate } });
        clients.push(client);
        return open({ client });
      },
    ],
  ])('a socket of a client %s may report errors in a row: none is uncaught', async (_, boot) => {
    const redis = await startWith(ours.issue());
    const connection = (await boot(`rediss://localhost:${redis.tlsPort}`)).get();
    const reader = connection.openLink('reader');
    expect(await reader.waitUntilUp(30_000)).toBe(true);
    for (const { client } of [connection.commands, reader]) {
      const { stream } = client;
      // An event without a listener would be thrown here.
      for (const text of ['first', 'second', 'third']) stream.emit('error', new Error(text));
      stream.destroy();
    }
  });
});
