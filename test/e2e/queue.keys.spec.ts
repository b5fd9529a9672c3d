import { expect, it } from '@jest/globals';
import { startRedis } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runKeys } from '../support/key-fleet.js';
import { KEY_MODES, checkKeys } from '../support/key-records.js';

it('four processes that publish under one key of each mode, while some are killed and cut off, lose nothing and double nothing', async () => {
  const redis = await startRedis();
  const dir = mkdtempSync(join(tmpdir(), 'sluice-keys-'));
  try {
    const { records } = await runKeys({ redis, dir, each: 200, random: Math.random });
    const wrong = Object.fromEntries(KEY_MODES.map((mode) => [mode, checkKeys(records, mode).slice(0, 5)]));
    expect(wrong).toEqual(Object.fromEntries(KEY_MODES.map((mode) => [mode, []])));
  } finally {
    await redis.stop();
    rmSync(dir, { recursive: true });
  }
});
