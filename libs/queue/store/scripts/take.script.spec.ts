import { describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { SET_BACK } from '../../../../test/support/limit-records.js';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { until } from '../../../../test/support/until.js';
import { Keyspace } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED, queueKeys, rateKeys, retryKeys } from '../queue.keys.js';
import { takeScript, type Taken } from './take.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const FOREIGN = 'somebody-else';
const LEASE_MS = 60_000;
/** No test lasts so long. */
const LONG_MS = 3_600_000;
const keys = queueKeys(new Keyspace(), 'tasks');
const rates = rateKeys(new Keyspace(), keys, GROUP);
const retries = retryKeys(new Keyspace(), 'tasks', GROUP);
const bed = new QueueScriptBed(keys.stream);
const { pendingTask, pending, consumers, entries, serverMs } = bed;

interface Over {
  capacity?: number;
  sinceMs?: number;
  maxDeliveries?: number;
  alone?: number;
  limit?: number;
  perMs?: number;
  graceMs?: number;
  usualMs?: number;
  fleet?: number;
  readMost?: number;
}

/** By a caller whose lease has been unbroken for long, and stands. */
async function take(over: Over = {}, streams?: { stream: string; other: string }): Promise<Taken> {
  await lease(ME, LEASE_MS);
  return takeAlone(over, streams);
}

async function takeAlone(
  over: Over = {},
  { stream, other } = { stream: keys.stream, other: retries.stream },
): Promise<Taken> {
  const now = await serverMs();
  return takeScript.run(bed.link, {
    keys: { history: keys.dead, ...keys, ...rates, stream, other, failedTo: keys.dead },
    args: {
      keep: 0,
      level: '-',
      ...{ group: GROUP, consumer: ME, leaseMs: LEASE_MS, sinceMs: now - LEASE_MS, endsMs: now + LEASE_MS / 2 },
      ...{ capacity: 100, maxDeliveries: 5, alone: 0, foreignIdleMs: 0, released: RELEASED, prefix: CONSUMER_PREFIX },
      ...{ publishes: '', side: keys.side, inboxes: ':~inbox:0:' },
      ...{ limit: 0, perMs: 0, graceMs: 0, usualMs: 0, fleet: 0, readMost: 100, ...over },
    },
  });
}

async function lease(consumer: string, ms: number): Promise<void> {
  await bed.admin.zadd(keys.alive, (await serverMs()) + ms, consumer);
}

async function publish(count: number, stream = keys.stream): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await bed.admin.xadd(stream, '*', ...task()))!);
  return ids;
}

const idsOf = ({ claimed }: Taken): string[] => claimed.map(({ id }) => id);

describe('what may start', () => {
  it('is what there is room for; the others stay unread, without a delivery', async () => {
    const ids = await publish(5);
    const taken = await take({ capacity: 3 });
    expect(taken).toMatchObject({ takenOver: 0, lastId: ids[2], waits: true, afterMs: 0, isFull: false });
    expect(taken.claimed).toEqual(ids.slice(0, 3).map((id) => ({ id, deliveries: 1, fields: task() })));
    expect(Object.keys(await pending())).toEqual(ids.slice(0, 3));
    expect(await take({ capacity: 1 })).toMatchObject({ lastId: ids[3], waits: true });
    expect(await take()).toMatchObject({ lastId: ids[4], waits: false });
    expect(await take()).toMatchObject({ claimed: [], lastId: ids[4], waits: false });
  });

  it('is read in parts, and no more of it than some megabytes', async () => {
    await publish(5);
    expect((await take({ readMost: 2 })).claimed).toHaveLength(5);
    const large = '"'.padEnd(2 ** 21, 'x');
    for (let i = 0; i < 4; i++) await bed.admin.xadd(keys.stream, '*', ...task(large));
    // A failure must not print them.
    for (const waits of [true, false]) {
      const taken = await take({ readMost: 1 });
      expect([taken.claimed.length, taken.waits]).toEqual([2, waits]);
    }
  });

  it('leaves no key behind if there is no rate, or a rate with the usual grace and no start', async () => {
    await publish(2);
    await take({ fleet: 1 });
    expect(await bed.admin.keys('*rate*')).toEqual([]);
    await take({ fleet: 1, limit: 5, perMs: LONG_MS, graceMs: 10, usualMs: 10 });
    expect(await bed.admin.keys('*rate*')).toEqual([]);
    await take({ limit: 5, perMs: LONG_MS, graceMs: 10, usualMs: 10 });
    expect(await bed.admin.keys('*rate*')).toEqual([rates.rate]);
    expect(await bed.admin.pttl(rates.rate)).toBeGreaterThan(0);
  });

  it('is nothing if the queue has data of a newer release', async () => {
    await publish(1);
    await bed.admin.hset(keys.uses, 'newer', '1');
    await expect(take()).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA' });
    expect(await pending()).toEqual({});
  });
});

describe('the limit of the fleet', () => {
  it('counts what pends with the living, with other software and with the caller', async () => {
    await lease(OTHER, LEASE_MS);
    for (const consumer of [OTHER, FOREIGN, ME]) await pendingTask(consumer);
    await publish(3);
    expect(await take({ fleet: 3 })).toMatchObject({ claimed: [], waits: true, isFull: true });
    expect(await take({ fleet: 4 })).toMatchObject({ claimed: [{}], waits: true, isFull: true });
    expect(await take({ fleet: 7 })).toMatchObject({ claimed: [{}, {}], waits: false, isFull: false });
  });

  it("counts the queue's tasks and those of the group's own retries together", async () => {
    await bed.admin.xgroup('CREATE', retries.stream, GROUP, '0', 'MKSTREAM');
    await publish(2);
    await publish(2, retries.stream);
    const ofRetries = { stream: retries.stream, other: keys.stream };
    expect((await take({ fleet: 3, capacity: 1 })).claimed).toHaveLength(1);
    expect((await take({ fleet: 3 }, ofRetries)).claimed).toHaveLength(2);
    expect(await take({ fleet: 3 })).toMatchObject({ claimed: [], isFull: true });
  });

  it("goes on while the group's own retries are something else, or have no group", async () => {
    await publish(2);
    await bed.admin.xadd(retries.stream, '*', ...task());
    expect((await take({ fleet: 5, capacity: 1 })).claimed).toHaveLength(1);
    await bed.admin.set(retries.stream, 'text');
    expect((await take({ fleet: 5, capacity: 1 })).claimed).toHaveLength(1);
  });

  it('gives a settled place to the next task', async () => {
    const [first = ''] = await publish(2);
    expect(idsOf(await take({ fleet: 1 }))).toEqual([first]);
    expect(idsOf(await take({ fleet: 1 }))).toEqual([]);
    await bed.admin.xack(keys.stream, GROUP, first);
    expect(idsOf(await take({ fleet: 1 }))).toHaveLength(1);
  });

  it('gives the places of the dead to their own tasks first, then to new ones', async () => {
    const old = [await pendingTask(OTHER), await pendingTask(OTHER)];
    const [next] = await publish(1);
    const taken = await take({ fleet: 3 });
    expect(idsOf(taken)).toEqual([...old, next]);
    expect(taken).toMatchObject({ takenOver: 2, isFull: true, waits: false });
    expect(taken.claimed.map(({ deliveries }) => deliveries)).toEqual([2, 2, 1]);
    expect(await consumers()).toEqual([ME]);
  });

  it('says that tasks of the dead wait, if there is no room for them', async () => {
    await pendingTask(ME);
    await pendingTask(OTHER);
    await pendingTask(OTHER);
    expect(await take({ fleet: 1 })).toMatchObject({ claimed: [], waits: true, isFull: true });
    expect(await take({ fleet: 2 })).toMatchObject({ claimed: [{}], waits: true, isFull: true });
    expect(await take({ fleet: 3 })).toMatchObject({ claimed: [{}], waits: false, isFull: true });
  });

  it('counts the dead for a caller that may not declare them dead', async () => {
    await pendingTask(OTHER);
    await publish(2);
    const young = { sinceMs: await serverMs() };
    expect(await take({ fleet: 1, ...young })).toMatchObject({ claimed: [], isFull: true, waits: true });
    expect(await take({ fleet: 2, ...young })).toMatchObject({ takenOver: 0, claimed: [{}] });
  });

  it('counts no returned task', async () => {
    const returned = await pendingTask(RELEASED);
    expect(idsOf(await take({ fleet: 1, sinceMs: await serverMs() }))).toEqual([returned]);
  });

  it('makes a task a dead letter that was delivered too often, also without room', async () => {
    await pendingTask(ME);
    const poison = await pendingTask(OTHER, { deliveries: 5 });
    expect(await take({ fleet: 1 })).toMatchObject({ claimed: [], deadLetters: [poison], waits: false });
    expect(await entries(keys.dead)).toHaveLength(1);
  });

  it('sweeps leases that have ended', async () => {
    await lease(OTHER, -1);
    await take({ fleet: 1, sinceMs: await serverMs() });
    expect(await bed.admin.zscore(keys.alive, OTHER)).not.toBeNull();
    await take({ fleet: 1 });
    expect(await bed.admin.zscore(keys.alive, OTHER)).toBeNull();
  });
});

describe('the rate', () => {
  const rate = { limit: 2, perMs: LONG_MS, graceMs: 10, usualMs: 10 };

  it('gives no more than the limit, and says when there is room again', async () => {
    await publish(3);
    const taken = await take(rate);
    expect(taken).toMatchObject({ claimed: [{}, {}], waits: true, isFull: false });
    expect(taken.afterMs).toBeGreaterThan(LONG_MS / 2);
    expect(taken.afterMs).toBeLessThanOrEqual(LONG_MS + 11);
    // Settled or not: the start was.
    await bed.admin.xack(keys.stream, GROUP, ...idsOf(taken));
    expect(await take(rate)).toMatchObject({ claimed: [], waits: true });
  });

  it('has room again when the window is over, which is longer by the grace', async () => {
    await publish(3);
    const [perMs, graceMs] = [100, 150];
    const before = await serverMs();
    await take({ ...rate, perMs, graceMs, usualMs: graceMs });
    const again = await until(
      async () => {
        const taken = await take({ ...rate, perMs, graceMs, usualMs: graceMs });
        return taken.claimed.length > 0 && serverMs();
      },
      { what: 'there is room', everyMs: 1 },
    );
    expect(again - before).toBeGreaterThanOrEqual(perMs + graceMs);
  });

  it.each([
    ['a ring', 64],
    ['slots', 300],
  ])('counts every start in %s', async (_, limit) => {
    await publish(limit + 5);
    let taken = 0;
    for (let i = 0; i < 12; i++) taken += (await take({ ...rate, limit, capacity: 40, readMost: 40 })).claimed.length;
    expect(taken).toBe(limit);
  });

  it('counts what is taken over, and takes over no more than it has room for', async () => {
    for (let i = 0; i < 3; i++) await pendingTask(OTHER);
    await publish(1);
    expect(await take(rate)).toMatchObject({ takenOver: 2, claimed: [{}, {}], waits: true });
    expect(await take(rate)).toMatchObject({ claimed: [], waits: true });
  });

  it('and the limit of the fleet hold together', async () => {
    await publish(5);
    expect((await take({ ...rate, fleet: 1 })).claimed).toHaveLength(1);
    await bed.admin.xack(keys.stream, GROUP, ...Object.keys(await pending()));
    expect((await take({ ...rate, fleet: 5 })).claimed).toHaveLength(1);
  });

  it('keeps a longer grace for all callers, as long as starts may come late', async () => {
    await publish(3);
    const slow = { ...rate, limit: 1, perMs: 200, graceMs: 60_000 };
    await take(slow);
    expect(await bed.admin.get(rates.grace)).toBe('60000');
    expect(await bed.admin.pttl(rates.grace)).toBeGreaterThan(0);
    expect(await bed.admin.pttl(rates.grace)).toBeLessThanOrEqual(60_200);
    const taken = await take({ ...slow, graceMs: 10 });
    expect(taken.claimed).toEqual([]);
    expect(taken.afterMs).toBeGreaterThan(1_000);
    await bed.admin.del(rates.grace);
    await until(async () => (await take({ ...slow, graceMs: 10 })).claimed.length === 1, { what: 'the usual grace' });
    expect(await bed.admin.exists(rates.grace)).toBe(0);
  });

  it('keeps the longest grace of several', async () => {
    await publish(3);
    await take({ ...rate, limit: 5, capacity: 1, graceMs: 500 });
    await take({ ...rate, limit: 5, capacity: 1, graceMs: 100 });
    expect(await bed.admin.get(rates.grace)).toBe('500');
    await take({ ...rate, limit: 5, capacity: 1, graceMs: 900 });
    expect(await bed.admin.get(rates.grace)).toBe('900');
  });

  it('goes on after the clock was set back', async () => {
    await publish(3);
    const perMs = 300;
    await take({ ...rate, perMs });
    await bed.admin.eval(SET_BACK, 1, rates.rate, String(LONG_MS * 1_000));
    expect((await take({ ...rate, perMs })).claimed).toEqual([]);
    await until(async () => (await take({ ...rate, perMs })).claimed.length === 1, { what: 'the window is over' });
  });

  itAsUsersSendIt('goes on while Redis is full', async () => {
    await publish(4);
    await lease(ME, LEASE_MS);
    // A caller that may not sweep leases, which would be a first write that is allowed.
    const window = { ...rate, perMs: 300, sinceMs: await serverMs() };
    try {
      await bed.admin.config('SET', 'maxmemory', '1');
      expect((await takeAlone(window)).claimed).toHaveLength(2);
      await bed.admin.config('SET', 'maxmemory', '0');
      // Nothing may start now, and yet the state has to be written.
      await bed.admin.eval(SET_BACK, 1, rates.rate, String(LONG_MS * 1_000));
      await bed.admin.config('SET', 'maxmemory', '1');
      await until(async () => (await takeAlone(window)).claimed.length > 0, { what: 'the window is over' });
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
  });
});
