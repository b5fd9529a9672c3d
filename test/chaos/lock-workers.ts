import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RedisServer } from 'nestjs-sluice/testing';
import { forkApp, type ForkedApp } from '../support/fork-app.js';

/** Runs `work` with so many lock workers, which are gone afterwards. */
export async function withWorkers<T>(
  redis: RedisServer,
  count: number,
  work: (workers: ForkedApp[]) => Promise<T>,
  execArgv: string[] = [],
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-lock-'));
  const workers = await Promise.all(
    Array.from({ length: count }, (_, i) => {
      const env = { REDIS_URL: redis.url, HISTORY_DIR: dir, WORKER: `worker-${i}` };
      return forkApp('lock-worker', { env, execArgv });
    }),
  );
  try {
    return await work(workers);
  } finally {
    await Promise.all(workers.map((app) => app.kill()));
    rmSync(dir, { recursive: true });
  }
}
