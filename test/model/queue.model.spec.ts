import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { startRedis, type RedisServer } from '../../libs/testing/index.js';
import { runQueueModel } from './queue.model.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});

describe('the queue as a model', () => {
  it('keeps every task in exactly one place for 20,000 steps', async () => {
    expect(await runQueueModel({ url: redis.url, seed: randomInt(2 ** 31), steps: 20_000 })).toBeGreaterThanOrEqual(
      20_000,
    );
  });

  it.each<[string, RegExp, Parameters<typeof runQueueModel>[0]['planted']]>([
    [
      'a retry that leaves the original pending',
      /is in 2 places/,
      {
        naiveRetry: {
          weight: 1,
          run: async (world, pick) => {
            const { keys, task } = world.last.pending[pick(Math.max(1, world.last.pending.length))] ?? {};
            if (keys) await world.link.send('xadd', [keys.stream, '*', 'payload', task ?? '', 'retry_count', '1']);
            return () => true;
          },
        },
      },
    ],
    [
      'a deletion without an acknowledgement',
      /is in 0 places/,
      {
        lost: {
          weight: 1,
          run: async (world, pick) => {
            const { keys, id } = world.last.pending[pick(Math.max(1, world.last.pending.length))] ?? {};
            if (keys) await world.link.send('xdel', [keys.stream, id ?? '']);
            return () => true;
          },
        },
      },
    ],
  ])('finds %s', async (_, violation, planted) => {
    const found = runQueueModel({
      url: redis.url,
      seed: 1,
      steps: 5_000,
      shrink: false,
      ...(planted ? { planted } : {}),
    });
    await expect(found).rejects.toThrow(violation);
  });
});
