import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { setTimeout as pause } from 'node:timers/promises';
import { checkSchedules, runScheduleChaos } from '../support/schedule-chaos.js';

let redis: RedisServer;
beforeEach(async () => {
  redis = await startRedis();
});
afterEach(() => redis.stop());

it('each instant is published once, while processes with different wall clocks are killed', async () => {
  let kills = 0;
  const history = await runScheduleChaos({
    ...{ url: redis.url, schedules: 50, processes: 3, leaseMs: 300 },
    step: async (kill) => {
      await kill();
      await pause(300);
      return ++kills < 6;
    },
  });
  expect(checkSchedules(history)).toMatchObject({ missed: [], doubled: [] });
  expect(history.untilMs).toBeGreaterThan(history.fromMs);
  const { published } = history;
  expect(checkSchedules({ ...history, published: published.slice(1) }).missed.length).toBeLessThan(2);
  expect(checkSchedules({ ...history, published: [...published, published[0]!] }).doubled).toEqual([published[0]]);
});
