/** What a process sends for its queues while there is nothing to do. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { slotOf } from 'nestjs-sluice/redis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { commandDelta } from '../support/command-delta.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

const LEASE_MS = 600;
const WATCHED_MS = 10 * LEASE_MS;

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

/** Scripts and blocking reads of some idle processes with the same queues, in the time of so many leases. */
async function idle(server: RedisServer, queues: readonly string[], processes = 1) {
  const handlers = Object.fromEntries(queues.map((queue) => [queue, () => {}]));
  for (let n = 0; n < processes; n++) {
    apps.push(await startQueueApp({ url: server.url, handlers, queue: { leaseMs: LEASE_MS } }));
  }
  const admin = new Redis(server.url);
  try {
    const swept = async (): Promise<boolean> => (await admin.exists(...[`{${queues[0]}}:~swept`])) === 1;
    await until(swept, { what: 'a renewal has looked' });
    const from = performance.now();
    const { calls } = await commandDelta(admin, async () => {
      await until(() => performance.now() - from > WATCHED_MS, { what: 'some leases are over' });
    });
    const leases = (performance.now() - from) / LEASE_MS;
    return { scripts: (calls['evalsha'] ?? 0) / leases, reads: (calls['xreadgroup'] ?? 0) / leases, calls, leases };
  } finally {
    admin.disconnect();
  }
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
  // Three processes with ten queues each.
  expect(calls['xinfo|consumers']).toBeLessThan(10 * (leases + 2));
  expect(calls['xinfo|consumers']).toBeGreaterThan(0);
});

it('sends as much per slot to a server that knows slots', async () => {
  const queues = names(6);
  const slots = new Set(queues.map(slotOf)).size;
  const { scripts, reads } = await idle(checked, queues);
  expect(scripts / slots).toBeLessThan(3.6);
  expect(reads / slots).toBeLessThan(1.6);
});
