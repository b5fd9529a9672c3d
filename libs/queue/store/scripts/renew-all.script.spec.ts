import { beforeEach, describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { commandDelta } from '../../../../test/support/command-delta.js';
import { QueueScriptBed } from '../../../../test/support/queue-script-bed.js';
import { Keyspace } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED, queueKeys, retryKeys, scheduleKeys } from '../queue.keys.js';
import { renewAllScript, type QueueRenewal, type RenewedAll } from './renew-all.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const GROUP = 'sluice';
const LEASE_MS = 60_000;
/** One call names queues of one slot only. */
const keys = queueKeys(new Keyspace(), '{q}tasks');
const second = queueKeys(new Keyspace(), '{q}second');
const own = retryKeys(new Keyspace(), '{q}tasks', GROUP);
const bed = new QueueScriptBed(keys.stream);

interface Turn {
  looks?: number;
  credit?: number;
  foreignIdleMs?: number;
  keep?: number;
  keepMs?: number;
}

async function renewAll(queues = [keys], look: Turn = {}): Promise<RenewedAll> {
  const { looks = 1, credit = 1, foreignIdleMs = 0, keep = -1, keepMs = -1 } = look;
  return renewAllScript.run(bed.link, {
    keys: {},
    restKeys: queues.flatMap((k) => [
      ...[k.alive, k.paused, k.delayed, k.uses, scheduleKeys(new Keyspace(), k).due, k.cancelled, k.observed],
      ...(looks === 1 ? [own.stream, own.delayed, k.stream, k.swept, k.dead] : []),
    ]),
    args: { consumer: ME, leaseMs: LEASE_MS, looks, sweepMs: LEASE_MS },
    rest: looks === 1 ? queues.flatMap(() => [GROUP, credit, foreignIdleMs, keep, keepMs]) : [],
  });
}

const scheduleDue = scheduleKeys(new Keyspace(), keys).due;

async function told(look: Turn = {}): Promise<QueueRenewal> {
  const [answer] = (await renewAll([keys], look)).queues;
  if (answer === undefined || answer instanceof Error) throw new Error(`not renewed: ${String(answer)}`);
  return answer;
}

/** As if no process had looked yet. */
const again = (): Promise<number> => bed.admin.del(keys.swept);
const NOTHING = { leaseEnded: false, orphaned: false, pending: false, unclean: false };

beforeEach(async () => {
  await bed.admin.xgroup('CREATE', second.stream, GROUP, '0', 'MKSTREAM');
});

describe('the renewal of all leases', () => {
  it('renews each of them, and tells of each queue by itself', async () => {
    await bed.admin.set(second.paused, '1');
    const now = await bed.serverMs();
    await bed.admin.zadd(second.delayed, now + 5_000, 'task');
    await bed.admin.zadd(scheduleKeys(new Keyspace(), second).due, now + 7_000, 'nightly');
    const first = await renewAll([keys, second]);
    expect(first.queues).toMatchObject([
      { unbroken: false, paused: false, dueMs: undefined, scheduleDueMs: undefined },
      { unbroken: false, paused: true },
    ]);
    const { queues } = await renewAll([keys, second], { looks: 0 });
    expect(queues).toMatchObject([
      { ...NOTHING, unbroken: true },
      { ...NOTHING, unbroken: true, paused: true },
    ]);
    const { dueMs, scheduleDueMs, nowMs } = queues[1] as QueueRenewal;
    expect(nowMs + dueMs!).toBe(now + 5_000);
    expect(nowMs + scheduleDueMs!).toBe(now + 7_000);
    expect(Number(await bed.admin.zscore(keys.alive, ME))).toBe(nowMs + LEASE_MS);
    expect(Number(await bed.admin.zscore(second.alive, ME))).toBe(nowMs + LEASE_MS);
  });

  it('tells the error of a queue in its place, and renews the others', async () => {
    await bed.admin.set(keys.alive, 'no sorted set');
    const { queues } = await renewAll([keys, second]);
    expect(queues[0]).toMatchObject({ message: expect.stringContaining('WRONGTYPE') });
    expect(queues[1]).toMatchObject({ unbroken: false });
    await bed.admin.del(keys.alive);
    await bed.admin.xgroup('DESTROY', keys.stream, GROUP);
    const [gone] = (await renewAll([keys, second])).queues;
    expect(gone).toMatchObject({ message: expect.stringContaining('NOGROUP') });
  });

  it('tells when the first lease of another process ends, and that it has ended', async () => {
    const now = await bed.serverMs();
    await bed.admin.zadd(second.alive, now + 2_000, OTHER);
    const { nextEndMs } = await renewAll([keys, second], { looks: 0 });
    expect(nextEndMs).toBeGreaterThan(0);
    expect(nextEndMs).toBeLessThanOrEqual(2_000);
    await bed.admin.zadd(second.alive, now - 1, OTHER);
    const after = await renewAll([keys, second], { looks: 0 });
    expect(after.nextEndMs).toBeUndefined();
    expect(after.queues).toMatchObject([{ leaseEnded: false }, { leaseEnded: true }]);
  });

  it.each([1, 2, 3])('knows its own lease, and the first one of the others, also as lease number %i', async (place) => {
    const now = await bed.serverMs();
    for (let at = 1; at < 4; at++)
      await bed.admin.zadd(keys.alive, now + at * 10_000, at === place ? ME : `${OTHER}${at}`);
    const { queues, nextEndMs } = await renewAll([keys], { looks: 0 });
    expect(queues).toMatchObject([{ unbroken: true }]);
    const { nowMs } = queues[0] as QueueRenewal;
    expect(nowMs + nextEndMs!).toBe(now + (place === 1 ? 20_000 : 10_000));
  });

  it('tells of no end of its own lease', async () => {
    await renewAll([keys], { looks: 0 });
    const { queues, nextEndMs } = await renewAll([keys], { looks: 0 });
    expect(queues).toMatchObject([{ unbroken: true }]);
    expect(nextEndMs).toBeUndefined();
  });

  it('tells of the ends by the clock that was set back', async () => {
    const [now, hour] = [await bed.serverMs(), 3_600_000];
    await bed.admin.zadd(keys.alive, now + LEASE_MS + hour, ME, now + LEASE_MS + hour - 20_000, OTHER);
    const { nextEndMs } = await renewAll([keys], { looks: 0 });
    expect(nextEndMs).toBeGreaterThan(0);
    expect(nextEndMs).toBeLessThanOrEqual(LEASE_MS);
  });

  it.each<[string, () => Promise<unknown>, Partial<QueueRenewal>]>([
    ['a pause', () => bed.admin.set(keys.paused, '1'), { paused: true }],
    ['a delayed task', () => bed.admin.zadd(keys.delayed, 1, 'task'), { dueMs: 0 }],
    ['a schedule', () => bed.admin.zadd(scheduleDue, 1, 'nightly'), { scheduleDueMs: 0 }],
    ['a listener to events', () => bed.admin.set(keys.observed, '1'), { observed: true }],
    ['a cancelled task', () => bed.admin.zadd(keys.cancelled, 1, '1-1 sluice'), { cancelled: true }],
    ['data of a newer release', () => bed.admin.hset(keys.uses, 'lanes', '9.0.0'), { unknown: 'lanes@9.0.0' }],
  ])('tells of %s, though nothing else is there', async (_what, there, expected) => {
    const quiet = { paused: false, dueMs: undefined, scheduleDueMs: undefined, cancelled: false, unknown: undefined };
    expect(await told({ looks: 0 })).toMatchObject(quiet);
    await there();
    expect(await told({ looks: 0 })).toMatchObject({ ...quiet, ...expected });
  });

  it('executes three commands per queue where there is nothing to tell', async () => {
    await renewAll([keys, second], { looks: 0 });
    const { calls } = await commandDelta(bed.admin, () => renewAll([keys, second], { looks: 0 }));
    expect(calls).toEqual({ evalsha: 1, time: 1, zrange: 2, zrem: 1, zadd: 2, exists: 2 });
  });

  it('executes two more to look at a queue without entries', async () => {
    await renewAll();
    await bed.admin.hset(keys.swept, GROUP, (await bed.serverMs()) - LEASE_MS);
    const { calls } = await commandDelta(bed.admin, () => renewAll());
    const looked = { hget: 1, xlen: 1 };
    expect(calls).toMatchObject({ zrange: 1, zadd: 1, exists: 1, ...looked });
    expect(calls).not.toHaveProperty('xinfo|groups');
  });

  it.each<[string, () => Promise<unknown>, Turn]>([
    ['the fourth look', () => bed.admin.hset(keys.swept, GROUP, 1), {}],
    ['an entry', () => bed.admin.xadd(keys.stream, '*', 'payload', 'x'), {}],
    ['a retry', () => bed.admin.zadd(own.delayed, 1, 'retry'), {}],
    ['a number of dead letters to keep', () => Promise.resolve(), { keep: 5 }],
    ['a time for which they are kept', () => Promise.resolve(), { keepMs: 5 }],
  ])('executes four more to look because of %s', async (_what, there, look) => {
    await bed.admin.xgroup('CREATECONSUMER', keys.stream, GROUP, ME);
    await renewAll();
    await bed.admin.hset(keys.swept, GROUP, (await bed.serverMs()) - LEASE_MS);
    await there();
    const { calls } = await commandDelta(bed.admin, () => renewAll([keys], look));
    expect(calls).toMatchObject({ hget: 1, 'xinfo|groups': 1, hset: 1 });
    expect(calls).not.toHaveProperty('xinfo|consumers');
  });

  itAsUsersSendIt('works on a server that is full', async () => {
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      await renewAll([keys, second]);
      expect((await renewAll([keys, second])).queues).toMatchObject([{ unbroken: true }, { unbroken: true }]);
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
  });
});

describe('a look of a renewal', () => {
  it('finds nothing on a queue without tasks', async () => {
    expect(await told()).toMatchObject(NOTHING);
  });

  it('is made by the first process after the interval, with room for tasks, whatever the clock was', async () => {
    await bed.admin.xgroup('CREATECONSUMER', keys.stream, GROUP, ME);
    await told();
    await bed.admin.xgroup('CREATECONSUMER', keys.stream, GROUP, RELEASED);
    await bed.admin.xadd(keys.stream, '*', 'payload', 'x');
    expect(await told()).toMatchObject({ orphaned: false });
    await again();
    expect(await told({ credit: 0 })).toMatchObject({ orphaned: false });
    expect(await told()).toMatchObject({ orphaned: true });
    const now = await bed.serverMs();
    await bed.admin.hset(keys.swept, GROUP, now - LEASE_MS + 5_000);
    expect(await told()).toMatchObject({ orphaned: false });
    for (const past of [now - LEASE_MS, now + 3_600_000]) {
      await bed.admin.hset(keys.swept, GROUP, past);
      expect(await told()).toMatchObject({ orphaned: true });
    }
    expect(await bed.admin.pttl(keys.swept)).toBeGreaterThan(LEASE_MS);
    await bed.admin.hset(keys.swept, GROUP, now - 4 * LEASE_MS);
    await bed.admin.pexpire(keys.swept, LEASE_MS);
    await told();
    expect(await bed.admin.pttl(keys.swept)).toBeGreaterThan(LEASE_MS);
  });

  it.each([
    ['of a process without a lease', OTHER, undefined, true],
    ['of a process whose lease has ended', OTHER, -1, true],
    ['of a process that lives', OTHER, 60_000, false],
    ['that were returned', RELEASED, undefined, true],
    ['of its own', ME, undefined, false],
    ['of other software', 'python', undefined, false],
  ])('finds tasks %s', async (_what, consumer, leaseMs, orphaned) => {
    const id = await bed.admin.xadd(keys.stream, '*', 'payload', 'x');
    await bed.admin.xreadgroup('GROUP', GROUP, consumer, 'COUNT', 1, 'STREAMS', keys.stream, '>');
    if (leaseMs !== undefined) await bed.admin.zadd(keys.alive, (await bed.serverMs()) + leaseMs, consumer);
    expect(await told()).toMatchObject({ orphaned, pending: consumer === ME });
    expect(await told()).toMatchObject({ orphaned: false, pending: consumer === ME });
    await again();
    await bed.admin.xclaim(keys.stream, GROUP, consumer, 0, id!, 'IDLE', 60_000, 'JUSTID');
    expect(await told({ foreignIdleMs: 60_000 })).toMatchObject({ orphaned: orphaned || consumer === 'python' });
  });

  it('finds entries that were settled and not deleted, other groups, retries, and dead letters beyond those to keep', async () => {
    const id = await bed.admin.xadd(keys.stream, '*', 'payload', 'x');
    expect(await told()).toMatchObject({ unclean: false });
    await bed.admin.xreadgroup('GROUP', GROUP, ME, 'COUNT', 1, 'STREAMS', keys.stream, '>');
    await again();
    expect(await told()).toMatchObject({ unclean: false });
    await bed.admin.xack(keys.stream, GROUP, id!);
    await again();
    expect(await told()).toMatchObject({ unclean: true });
    await bed.admin.xdel(keys.stream, id!);
    await again();
    expect(await told()).toMatchObject({ unclean: false });

    await bed.admin.xadd(keys.dead, '1000-1', 'payload', 'x');
    for (const [look, unclean] of [
      [{ keep: 1 }, false],
      [{ keep: 0 }, true],
      [{ keepMs: 1_000 }, true],
      [{ keepMs: Date.now() + 60_000 }, false],
    ] as const) {
      await again();
      expect(await told(look)).toMatchObject({ unclean });
    }
    await bed.admin.zadd(own.delayed, 1, 'retry');
    await again();
    expect(await told()).toMatchObject({ unclean: true });
    await bed.admin.del(own.delayed);
    await bed.admin.xgroup('CREATE', keys.stream, 'another', '0');
    await again();
    expect(await told()).toMatchObject({ unclean: true });
  });
});
