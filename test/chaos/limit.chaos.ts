import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import { LimitFleet } from '../support/limit-fleet.js';
import { LIMITS, worstWindow } from '../support/limit-records.js';

/** How many faults a full run injects. */
const FAULTS = 200;

export default defineChaos({
  feature: 'limit',
  scenarios: {
    fleet: {
      about:
        '8 processes use up limits of 5, 60 and 10,000; killed, paused, cut off; Redis freezes, forgets scripts, its clock is set back',
      run: fleetUnderFire,
    },
  },
});

async function fleetUnderFire(ctx: ChaosContext): Promise<Verdict[]> {
  const redis = await ctx.startRedis({ args: [] });
  const admin = new Redis(redis.url);
  // It reports what its socket suffers; so do the verdicts.
  admin.on('error', () => {});
  const fleet = new LimitFleet(redis, admin, 8);
  try {
    await fleet.fill();
    const names = Object.keys(fleet.faults);
    const counts: Record<string, number> = {};
    for (let round = 0; round < names.length || ctx.more(round, FAULTS); round++) {
      // Each at least once, then at random.
      const name = names[round] ?? names[Math.floor(ctx.random() * names.length)] ?? 'kill';
      counts[name] = (counts[name] ?? 0) + 1;
      await fleet.faults[name]?.(ctx.random());
      await pause(300 + ctx.random() * 700);
    }
    ctx.log(
      Object.entries(counts)
        .map(([name, count]) => `${name} ${count}`)
        .join(', '),
    );
    const flooded = await fleet.end();
    ctx.log(`allowed ${flooded.allowed}, refused ${flooded.refused}, undecided ${flooded.undecided}`);
    const records = fleet.records();
    return LIMITS.flatMap(({ name, limit, perMs }) => {
      const own = records.filter((record) => record.name === name);
      const worst = worstWindow(own, perMs);
      const last = own.at(-1);
      const planted = last === undefined ? [] : [...own, { ...last, isRepeat: false, units: limit + 1 }];
      return [
        holds(`${name}: no window holds more than ${limit}`, worst <= limit, `the worst holds ${worst}`),
        holds(`${name}: a window comes near ${limit}`, worst >= limit * 0.9, `the worst holds ${worst}`),
        rejectsPlanted(`${name}: one decision more`, worstWindow(planted, perMs) > limit ? [name] : []),
      ];
    });
  } finally {
    redis.resume();
    await fleet.close();
    admin.disconnect();
  }
}
