import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { forkApp } from '../support/fork-app.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis({ tls: true });
});
afterAll(() => redis.stop());

it.each([
  ['Redis', () => ({ host: 'localhost', port: redis.port, tls: {} })],
  ['Sentinel', () => ({ sentinels: [{ host: 'localhost', port: redis.port }], name: 'main', sentinelTLS: {} })],
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
