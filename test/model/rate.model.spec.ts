import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { startRedis, type RedisServer } from '../../libs/testing/index.js';
import { runRateModel } from './rate.model.js';
import { RATE_STEPS } from './rate.steps.js';
import type { RateWorld } from './rate.world.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});

describe('a queue with rates of keys as a model', () => {
  it('keeps every task in one place, and every key within its rate, for 3,000 steps', async () => {
    const steps = await runRateModel({ url: redis.url, seed: randomInt(2 ** 31), steps: 3_000 });
    expect(steps).toBeGreaterThanOrEqual(3_000);
  });

  it.each<[string, RegExp, (world: RateWorld) => Promise<unknown>]>([
    [
      'windows that somebody forgets',
      /starts in/,
      ({ link, rates }) => link.send('del', [rates.rates, rates.rateEnds]),
    ],
    [
      'a worker that takes from the line on its own',
      /paced|something to heal/,
      async ({ link, keys }) => {
        const rows = await link.send<[string, string][]>('xpending', [
          keys.stream,
          'one',
          '-',
          '+',
          1,
          'sluice:~paced',
        ]);
        if (rows[0]) await link.send('xclaim', [keys.stream, 'one', 'sluice:a', 0, rows[0][0], 'JUSTID']);
      },
    ],
    [
      'a line for which nobody comes',
      /never due|something to heal/,
      ({ link, rates }) => link.send('del', [rates.rateDue]),
    ],
    [
      'starts that are given back though the tasks have started',
      /starts in/,
      async (world) => {
        const before = [...world.starts].map(([key, starts]) => [key, [...starts]] as [string, typeof starts]);
        await RATE_STEPS['giveBackStarts']?.run(world);
        for (const [key, starts] of before) world.starts.set(key, starts);
      },
    ],
    [
      'an order that somebody forgets',
      /tasks of key|began before/,
      async (world) => {
        if (!world.isOrdered) return;
        await world.link.send('del', [world.gates.gates, world.gates.line]);
        await RATE_STEPS['take']?.run(world);
        await RATE_STEPS['heal']?.run(world);
      },
    ],
  ])('finds %s', async (_, violation, planted) => {
    await expect(runRateModel({ url: redis.url, seed: 1, steps: 3_000, planted })).rejects.toThrow(violation);
  });
});
