import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { RedisConnections } from 'nestjs-sluice/redis';
import { startCluster, type RedisCluster } from 'nestjs-sluice/testing';
import { FleetLoad } from '../../support/fleet-load.js';
import { nowMs } from '../../support/history.js';

let several: RedisCluster;
let one: RedisCluster;
let fleet: FleetLoad | undefined;
beforeAll(async () => {
  [several, one] = await Promise.all([startCluster(), startCluster({ masters: 1 })]);
});
afterEach(() => fleet?.kill());
afterAll(() => Promise.all([several.stop(), one.stop()]));

/** What the boot says of the server of this URL. */
async function refusal(url: string, strict: boolean): Promise<unknown> {
  const connections = new RedisConnections({ redis: { url, strict, bootTimeoutMs: 500 } });
  try {
    return await connections.open();
  } catch (error) {
    return error;
  } finally {
    await connections.onApplicationShutdown();
  }
}

it.each([false, true])('any node of three masters is refused by an error that names it; strict: %s', async (strict) => {
  const masters = await several.masters();
  expect(masters).toHaveLength(3);
  for (const node of several.nodes) {
    expect(await refusal(node.url, strict)).toMatchObject(
      masters.includes(node)
        ? {
            code: 'SLUICE_CLUSTER_UNSUPPORTED',
            message: expect.stringMatching(
              new RegExp(
                `${node.url}\\): the server is one node of a Redis Cluster and has 546[12] of its 16384 slots`,
              ),
            ),
          }
        : { code: 'SLUICE_REDIS_UNFIT', message: expect.stringMatching(new RegExp(`${node.url}\\).* replica`)) },
    );
  }
});

it('a Cluster with one shard serves the load of three processes, also after its master was away and is back', async () => {
  const master = await one.masterOf('any');
  fleet = await FleetLoad.start({ url: master.url });
  const replica = await one.failover(master);
  expect(replica).not.toBe(master);
  await one.ready();
  // Meanwhile the URL names a replica: it answers MOVED, and nothing runs.
  expect(await one.failover(replica)).toBe(master);
  await fleet.worksSince(nowMs());
  const history = await fleet.stop();
  expect([...history.errors.keys()].sort().filter((code) => !EXPECTED.has(code))).toEqual([]);
  expect({ lost: history.lost().outside, violations: history.violations }).toEqual({ lost: [], violations: [] });
  expect(history.stale().outside).toEqual([]);
});

/** What a caller may see while the URL names a server that is no master, or is gone for a moment. */
const EXPECTED = new Set([
  'SLUICE_REDIS_UNAVAILABLE',
  'SLUICE_PUBLISH_UNCONFIRMED',
  'SLUICE_LOCK_TIMEOUT',
  'SLUICE_LOCK_LOST',
]);
