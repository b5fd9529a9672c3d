import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { CertificateAuthority } from '../support/certificates.js';
import { forkApp } from '../support/fork-app.js';

let authority: CertificateAuthority;
let redis: RedisServer;
let port: number;
beforeAll(async () => {
  authority = new CertificateAuthority();
  const { cert, key } = authority.issue();
  port = randomInt(20_000, 32_768);
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', authority.file];
  redis = await startRedis({ args: ['--tls-port', String(port), '--tls-auth-clients', 'no', ...files] });
});
afterAll(async () => {
  await redis.stop();
  authority.remove();
});

it.each([
  ['Redis', () => ({ host: 'localhost', port, tls: {} })],
  ['Sentinel', () => ({ sentinels: [{ host: 'localhost', port }], name: 'main', sentinelTLS: {} })],
])(
  '20 boots with a %s whose certificate is not trusted fail with a clear error, and the process lives',
  async (_, at) => {
    const app = await forkApp('tls-boots');
    try {
      const errors = await app.call<string[]>('boot', { ...at(), bootTimeoutMs: 300 }, 20);
      const expected = /could not be reached within 300 ms: .*self-signed certificate.* not trusted: .*redis\.tls\.ca/;
      expect(errors).toEqual(Array.from({ length: 20 }, () => expect.stringMatching(expected)));
      await app.stop();
    } finally {
      await app.kill();
    }
  },
);
