import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { startRedis, type RedisServer } from '../../libs/testing/index.js';
import { runOrderModel } from './order.model.js';
import type { OrderWorld } from './order.world.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});

describe('an ordered queue as a model', () => {
  it('keeps every task in one place, and every key in order, for 3,000 steps', async () => {
    const steps = await runOrderModel({ url: redis.url, seed: randomInt(2 ** 31), steps: 3_000 });
    expect(steps).toBeGreaterThanOrEqual(3_000);
  });

  it.each<[string, RegExp, (world: OrderWorld) => Promise<void>]>([
    [
      'a worker that reads without a look at the gates',
      /have begun|parked|began as|something to heal/,
      async ({ link, keys }) => {
        await link.send('xreadgroup', ['GROUP', 'one', 'sluice:a', 'COUNT', 2, 'STREAMS', keys.stream, '>']);
      },
    ],
    [
      'an acknowledgement that opens nothing',
      /in 0 places|there was something to heal/,
      async ({ link, keys }) => {
        const [row] = await link.send<[string, string][]>('xpending', [keys.stream, 'one', '-', '+', 1, 'sluice:a']);
        if (row === undefined) return;
        await link.send('xack', [keys.stream, 'one', row[0]]);
        await link.send('xdel', [keys.stream, row[0]]);
      },
    ],
  ])('finds %s', async (_, violation, planted) => {
    await expect(runOrderModel({ url: redis.url, seed: 1, steps: 3_000, planted })).rejects.toThrow(violation);
  });
});
