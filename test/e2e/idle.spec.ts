/** What a process sends for its queues while there is nothing to do. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { slotOf } from 'nestjs-sluice/redis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { commandDelta } from '../support/command-delta.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

const LEASE_MS = 1_500;
const WATCHED_MS = 4 * LEASE_MS;
/**
 * No lease lapses between two renewals, each of which is late by less than this: a third of a lease and twice this are one lease.
 * A process whose leases lapse has work to do, and is not idle.
 */
const STALLED_MS = LEASE_MS / 3;

let one: RedisServer;
let checked: RedisServer;
const apps: QueueApp[] = [];
beforeAll(async () => {
  [one, checked] = await Promise.all([startRedis({ slotChecks: false }), startRedis({ slotChecks: true })]);
});
beforeEach(() => Promise.all([one, checked].map(flush)));
afterEach(() => Promise.all(apps.splice(0).map(({ app }) => app.close())));
afterAll(() => Promise.all([one.stop(), checked.stop()]));

async function flush({ url }: RedisServer): Promise<void> {
  const admin = new Redis(url);
  await admin.flushall();
  admin.disconnect();
}

/** Scripts and blocking reads of some idle processes with the same queues, in the time of one lease. */
async function idle(server: RedisServer, queues: readonly string[], processes = 1): Promise<Idle> {
  const handlers = Object.fromEntries(queues.map((queue) => [queue, () => {}]));
  for (let n = 0; n < processes; n++) {
    apps.push(await startQueueApp({ url: server.url, handlers, queue: { leaseMs: LEASE_MS } }));
  }
  const admin = new Redis(server.url);
  try {
    await until(() => allWork(admin, queues, processes), { what: 'each queue has its leases, and was looked at' });
    return await until(() => watch(admin), { what: 'some leases pass and the machine stalls in none of them' });
  } finally {
    admin.disconnect();
  }
}

interface Idle {
  readonly scripts: number;
  readonly reads: number;
  readonly calls: Record<string, number>;
  readonly leases: number;
}

/** The boot does not wait for many queues to be opened. */
async function allWork(admin: Redis, queues: readonly string[], processes: number): Promise<boolean> {
  const states = queues.map(async (queue) => [
    await admin.zcard(`{${queue}}:~alive`),
    await admin.exists(`{${queue}}:~swept`),
  ]);
  return (await Promise.all(states)).every(([alive, swept]) => alive === processes && swept === 1);
}

/** False if this process or the server stalled meanwhile. PING is not counted. */
async function watch(admin: Redis): Promise<Idle | false> {
  const from = performance.now();
  let [last, longestMs] = [from, 0];
  const { calls } = await commandDelta(admin, () =>
    until(
      async () => {
        await admin.ping();
        const now = performance.now();
        longestMs = Math.max(longestMs, now - last);
        last = now;
        return now - from > WATCHED_MS;
      },
      { what: 'some leases are over' },
    ),
  );
  const leases = (performance.now() - from) / LEASE_MS;
  if (longestMs >= STALLED_MS) return false;
  return { scripts: (calls['evalsha'] ?? 0) / leases, reads: (calls['xreadgroup'] ?? 0) / leases, calls, leases };
}

const names = (count: number): string[] => Array.from({ length: count }, (_, n) => `queue${n}`);

it.each([1, 90])('sends three renewals and one read per lease, for %i queues', async (count) => {
  const { scripts, reads, calls } = await idle(one, names(count));
  expect(scripts).toBeLessThan(3.6);
  expect(reads).toBeLessThan(1.6);
  // Nothing is taken over, compared or deleted.
  expect(calls).not.toHaveProperty('xclaim');
  expect(calls).not.toHaveProperty('xtrim');
  expect(calls).not.toHaveProperty('client|unblock');
});

it('looks in one process of the fleet only', async () => {
  const { calls, leases } = await idle(one, names(10), 3);
  // Three processes with ten queues each. Where no entry is, a look is whole if nobody has made one for three leases.
  expect(calls['xinfo|groups'] ?? 0).toBeLessThan(10 * (leases / 2.5 + 2));
  expect(calls['xlen']).toBeGreaterThan(0);
});

it('sends as much per slot to a server that knows slots', async () => {
  const queues = names(6);
  const slots = new Set(queues.map(slotOf)).size;
  const { scripts, reads } = await idle(checked, queues);
  expect(scripts / slots).toBeLessThan(3.6);
  expect(reads / slots).toBeLessThan(1.6);
});
