import { expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis } from 'nestjs-sluice/testing';
import { BareClient } from '../../support/bare-client.js';
import { FleetLoad } from '../../support/fleet-load.js';
import { nowMs } from '../../support/history.js';
import { until } from '../../support/until.js';

const RESTARTS = 10;

it.each([
  ['an append-only file', ['--appendonly', 'yes', '--appendfsync', 'always']],
  ['nothing on disk', []],
])('Redis with %s is killed ten times in a row under load, and all works again at once', async (_what, args) => {
  const redis = await startRedis({ args });
  const fleet = await FleetLoad.start({ url: redis.url });
  const bare = new BareClient({ port: redis.port });
  try {
    /** How long the slowest feature takes in all apps while nothing is wrong: on a busy machine, more than a moment. */
    let calmMs = 0;
    const measureCalm = async (): Promise<void> => {
      const sinceMs = nowMs();
      calmMs = Math.max(calmMs, Math.max(...Object.values(await fleet.worksSince(sinceMs))) - sinceMs);
    };
    for (let round = 0; round < RESTARTS; round++) {
      await measureCalm();
      await redis.kill();
      const killedAtMs = nowMs();
      await redis.restart();
      const [bareAtMs, works] = await Promise.all([bare.writesSince(killedAtMs), fleet.worksSince(killedAtMs)]);
      // The machine may have become busier meanwhile.
      await measureCalm();
      // Besides what a task takes: to connect, to renew the lease, and to compare what is held.
      const allowedMs = 3 * calmMs + 1_000;
      const late = Object.entries(works).filter(([, atMs]) => atMs - bareAtMs > allowedMs);
      expect({ late, bareAtMs, allowedMs }).toEqual({ late: [], bareAtMs, allowedMs });
    }
    const admin = new Redis(redis.url);
    const named = (): Promise<number> =>
      admin.client('LIST').then((list) => [...String(list).matchAll(/ name=sluice:/g)].length);
    // Commands, messages, and reads of tasks, for each app.
    await until(async () => (await named()) === 9, { what: 'each app has its three sockets, and no more' });
    bare.close();
    // Each app ends by itself, so it has left no socket and no timer.
    const history = await fleet.stop();
    await until(async () => (await named()) === 0, { what: 'their sockets are closed' });
    admin.disconnect();
    expect([...history.errors.keys()].sort().filter((code) => !EXPECTED.has(code))).toEqual([]);
    if (args.length > 0) {
      const { violations } = history;
      expect({ lost: history.lost().outside, violations }).toEqual({ lost: [], violations: [] });
    }
  } finally {
    bare.close();
    await fleet.kill();
    await redis.stop();
  }
});

/** What a caller may see of a Redis that is away, or that came back without its locks. */
const EXPECTED = new Set([
  'SLUICE_REDIS_UNAVAILABLE',
  'SLUICE_PUBLISH_UNCONFIRMED',
  'SLUICE_LOCK_TIMEOUT',
  'SLUICE_LOCK_LOST',
]);
