import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { readLedger } from '../support/ledger.js';
import { until } from '../support/until.js';

const LIMIT = 20;
/** Tasks of a process that was killed are in the stream until another process has them; a count in one step sees each once. */
const LENGTH = "return redis.call('XLEN', 'tasks') + redis.call('ZCARD', '{tasks}:~delayed')";

let redis: RedisServer;
let admin: Redis;
let dir: string;
const apps: ForkedApp[] = [];
beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  dir = mkdtempSync(join(tmpdir(), 'sluice-length-'));
  for (const name of ['published', 'ran']) writeFileSync(join(dir, name), '');
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.kill()));
  admin.disconnect();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

const start = async (name: string, ledger: string, env: Record<string, string>): Promise<ForkedApp> => {
  const app = await forkApp(name, { env: { REDIS_URL: redis.url, LEDGER: join(dir, ledger), ...env } });
  apps.push(app);
  return app;
};
const ids = (ledger: string): string[] => readLedger(join(dir, ledger)).map(({ id }) => id);

it('four processes that publish more than two can handle never make the queue longer than it may be, through SIGKILL', async () => {
  let longest = 0;
  const ended = new AbortController();
  const looking = (async () => {
    while (!ended.signal.aborted) {
      longest = Math.max(longest, Number(await admin.eval(LENGTH, 0)));
      await pause(1);
    }
  })();
  const producer = (): Promise<ForkedApp> =>
    start('queue-producer', 'published', { EVERY_MS: '0', LIMIT: String(LIMIT) });
  const worker = (): Promise<ForkedApp> =>
    start('queue-worker', 'ran', { CONCURRENCY: '2', LEASE_MS: '1000', BACKOFF_MS: '20' });
  const producers = await Promise.all([producer(), producer(), producer(), producer()]);
  await until(() => longest === LIMIT, { what: 'the queue is full' });
  const workers = await Promise.all([worker(), worker()]);
  await until(() => ids('ran').length > 100, { what: 'tasks run' });
  await producers[0].kill();
  await workers[0].kill();
  workers[0] = await worker();
  const before = ids('ran').length;
  await until(() => ids('ran').length > before + 100, { what: 'tasks run again, also those of the dead process' });
  for (const each of producers.slice(1)) await each.stop();
  await until(async () => Number(await admin.eval(LENGTH, 0)) === 0 && (await admin.xlen('{tasks}:~dead')) > 0, {
    what: 'all is done',
  });
  ended.abort();
  await looking;
  expect(longest).toBe(LIMIT);
  const failed = (await admin.xrange('{tasks}:~dead', '-', '+')).map(([id, fields]) => {
    const at = fields.indexOf('original_id');
    return at < 0 ? id : fields[at + 1]!;
  });
  const done = new Set([...ids('ran'), ...failed]);
  expect(ids('published').length).toBeGreaterThan(200);
  expect(readLedger(join(dir, 'published')).filter(({ id, attempt }) => attempt === 1 && !done.has(id))).toEqual([]);
});
