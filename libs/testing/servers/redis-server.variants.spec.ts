import { once } from 'node:events';
import { createConnection } from 'node:net';
import { connect } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { CertificateAuthority } from './certificate-authority.js';
import { startRedis, type RedisServer } from './redis-server.js';

let redis: RedisServer;
afterEach(() => redis.stop());

interface Login {
  username?: string;
  password?: string;
  tls?: { readonly ca: string };
}

async function ask<T>(question: (client: Redis) => Promise<T>, options: Login = {}): Promise<T> {
  const client = new Redis(redis.url, { retryStrategy: () => null, ...options });
  client.on('error', () => {});
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

describe.each([false, true])('TLS, with slotChecks %s', (slotChecks) => {
  it('serves who trusts its authority, and nobody else', async () => {
    redis = await startRedis({ tls: true, slotChecks });
    expect(redis.url).toBe(`rediss://127.0.0.1:${redis.port}`);
    expect(await ask((client) => client.set('a', 'b'), { tls: redis.tls! })).toBe('OK');
    const stranger = connect({ port: redis.port, host: '127.0.0.1' });
    const [refusal] = (await once(stranger, 'error')) as [Error];
    expect(refusal.message).toBe('self-signed certificate in certificate chain');
    const plain = createConnection(redis.port, '127.0.0.1').on('error', () => {});
    plain.write('PING\r\n');
    let heard = '';
    plain.on('data', (bytes) => (heard += bytes.toString('latin1')));
    await new Promise((resolve) => plain.once('close', resolve));
    expect(heard).not.toContain('PONG');
  });

  it('keeps its certificate over a restart', async () => {
    redis = await startRedis({ tls: true, slotChecks });
    await redis.restart();
    expect(await ask((client) => client.ping(), { tls: redis.tls! })).toBe('PONG');
  });
});

it('takes an authority that several servers share', async () => {
  const authority = new CertificateAuthority();
  redis = await startRedis({ tls: authority });
  const second = await startRedis({ tls: authority });
  expect(redis.tls).toEqual({ ca: authority.certificate });
  const client = new Redis(second.url, { tls: redis.tls! });
  expect(await client.ping()).toBe('PONG');
  client.disconnect();
  await second.stop();
});

describe('users', () => {
  it('may do what their rules say', async () => {
    redis = await startRedis({ users: { shop: 'on >secret ~shop:* +set +info', default: 'off' } });
    await expect(ask((client) => client.ping())).rejects.toThrow('NOAUTH');
    const shop = { username: 'shop', password: 'secret' };
    expect(await ask((client) => client.set('shop:a', 1), shop)).toBe('OK');
    await expect(ask((client) => client.set('bank:a', 1), shop)).rejects.toThrow('NOPERM');
    await expect(ask((client) => client.get('shop:a'), shop)).rejects.toThrow('NOPERM');
  });

  it('leave the fixture its own, with all rights', async () => {
    redis = await startRedis({ users: { default: 'off' } });
    expect(await redis.ask((client) => client.set('a', 'b'))).toBe('OK');
    await redis.restart();
    expect(await redis.ask((client) => client.get('a'))).toBeNull();
  });
});
