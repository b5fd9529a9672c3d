import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { play, SCENARIOS } from '../support/interleavings/scenarios.js';
import type { Member } from '../support/interleavings/stage.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** Loads are shared the same way under both; without local copies, no message of a change is needed. */
const DIFFER = ['D', 'E', 'G', 'H'];

describe.each(['bounded', 'strict'])('under %s', (consistency) => {
  const scenarios = SCENARIOS.filter(({ letter }) => consistency === 'bounded' || DIFFER.includes(letter));
  // A machine that is busy with other tests must not pass for a Redis that does not answer.
  // Nor may one that renews its lease late pass for dead.
  const cache = { consistency, leaseMs: 1_000, readTimeoutMs: 5_000 };
  // To start a process takes longer than most scenarios do.
  const spares: Member[] = [];
  afterAll(() => Promise.all(spares.map((member) => member.close())));

  it.each(scenarios.map((scenario) => [scenario.letter, scenario.title, scenario] as const))(
    '%s: %s',
    async (_letter, _title, scenario) => {
      const setting = {
        redisUrl: redis.url,
        program: 'interleaving-member',
        env: { CACHE: JSON.stringify(cache) },
        patience: { holdMs: 2_500, graceMs: 100, boundMs: 3_000 },
        spares,
      };
      const verdict = await play(scenario, { name: 'nestjs-sluice', lacks: {} }, setting);
      expect(verdict).toEqual({ right: true, seen: expect.any(String) });
    },
  );
});
