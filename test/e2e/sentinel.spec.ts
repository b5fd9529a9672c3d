import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { CacheService, LockService, SluiceModule } from 'nestjs-sluice';
import { startRedis } from 'nestjs-sluice/testing';
import { launchGuarded } from '../../libs/testing/servers/guarded-process.js';
import { until } from '../support/until.js';

it('finds its Redis through a Sentinel', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-sentinel-'));
  const redis = await startRedis({ slotChecks: false });
  const port = randomInt(20_000, 32_768);
  const config = join(dir, 'sentinel.conf');
  writeFileSync(config, `port ${port}\ndir ${dir}\nsentinel monitor main 127.0.0.1 ${redis.port} 1\n`);
  const sentinel = await launchGuarded(dir, process.env['SLUICE_REDIS_SERVER'] ?? 'redis-server', [
    config,
    '--sentinel',
  ]);
  try {
    await until(() => sentinel.output().includes('+monitor master main'), { what: 'the Sentinel watches' });
    const sentinels = [{ host: '127.0.0.1', port }];
    const app = await Test.createTestingModule({
      imports: [SluiceModule.forRoot({ redis: { sentinels, name: 'main' } })],
    }).compile();
    await app.init();
    expect(await app.get(LockService).withLock('a', (lock) => lock.held)).toBe(true);
    expect(await app.get(CacheService).getOrLoad('b', () => 'loaded')).toBe('loaded');
    await app.close();
  } finally {
    await sentinel.end('SIGTERM');
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
});
