import { afterEach, expect, it } from '@jest/globals';
import { startSentinels, type RedisServer, type SentinelGroup } from 'nestjs-sluice/testing';
import { BareClient } from '../../support/bare-client.js';
import { FleetLoad } from '../../support/fleet-load.js';
import type { FleetHistory, LossWindow } from '../../support/fleet-records.js';
import { nowMs } from '../../support/history.js';

/** What a bare client of ioredis needs to come back at all. */
const WAKEFUL = { failoverDetector: true, sentinelCommandTimeout: 1_000, connectTimeout: 2_000 };

let group: SentinelGroup;
let fleet: FleetLoad | undefined;
let bare: BareClient | undefined;
afterEach(async () => {
  bare?.close();
  // A test that failed has left its apps running.
  await fleet?.kill();
  await group.stop();
});

interface Faults {
  old: RedisServer;
  begin: () => unknown;
  end?: () => unknown;
}

interface Survived {
  history: FleetHistory;
  /** From a second before the fault until the fleet has left the old primary: what was acknowledged then may be lost. */
  window: LossWindow;
}

/** The load runs in three processes, the fault begins, the fleet works at the new primary, the fault ends, the load runs on. */
async function survive({ old, begin, end }: Faults): Promise<Survived> {
  fleet = await FleetLoad.start(group.redis);
  bare = new BareClient({ ...group.redis, ...WAKEFUL });
  await bare.writesSince(nowMs());
  const faultAtMs = nowMs();
  await begin();
  await group.promotion(old);
  const promotedAtMs = nowMs();
  const [bareAtMs, works] = await Promise.all([bare.writesSince(promotedAtMs), fleet.worksSince(promotedAtMs)]);
  const allowedMs = 1.5 * (bareAtMs - faultAtMs) + 2_000;
  for (const [feature, atMs] of Object.entries(works)) {
    const tookMs = atMs - faultAtMs;
    expect({ feature, late: tookMs > allowedMs ? [tookMs, allowedMs] : 0 }).toEqual({ feature, late: 0 });
  }
  await end?.();
  await fleet.worksSince(nowMs());
  const history = await fleet.stop();
  return { history, window: [faultAtMs - 1_000, Math.max(...Object.values(works))] };
}

const start = async (args: readonly string[] = []): Promise<RedisServer> => {
  group = await startSentinels({ args });
  return group.primary();
};

it('a primary that is killed: nothing is lost, no two hold, nothing is stale', async () => {
  const old = await start();
  const { history, window } = await survive({ old, begin: () => old.kill() });
  expect(history.violations).toEqual([]);
  expect(history.stale().outside).toEqual([]);
  expect(history.lost([window]).outside).toEqual([]);
});

it.each([
  ['alone', []],
  ['with the first Sentinel', [0]],
  ['with the second Sentinel', [1]],
  ['with the third Sentinel', [2]],
])('a primary that hangs, %s: all features work at the new one', async (_what, sentinels) => {
  const old = await start();
  const frozen = [old, ...sentinels.map((i) => group.sentinels[i]!)];
  const { history, window } = await survive({
    old,
    begin: () => {
      for (const server of frozen) server.pause();
    },
    end: () => {
      for (const server of frozen) server.resume();
    },
  });
  expect(history.violations).toEqual([]);
  expect(history.stale().outside).toEqual([]);
  expect(history.lost([window]).outside).toEqual([]);
});

it('a planned failover loses what was acknowledged in the moment of the switch, and no more', async () => {
  const old = await start();
  const { history, window } = await survive({ old, begin: () => group.failover() });
  // What was acknowledged before the failover or after the move is there.
  expect(history.lost([window]).outside).toEqual([]);
  // An invalidation that was lost with the old primary leaves the value on the new one.
  expect(history.stale([window]).outside).toEqual([]);
});

it('a primary that is cut off, with min-replicas-to-write: no two hold, and no token falls', async () => {
  const old = await start(['--min-replicas-to-write', '1', '--min-replicas-max-lag', '1']);
  const { history, window } = await survive({
    old,
    begin: () => group.isolate(old),
    end: () => group.rejoin(old),
  });
  expect(history.violations).toEqual([]);
  expect(history.stale([window]).outside).toEqual([]);
  expect(history.lost([window]).outside).toEqual([]);
});
