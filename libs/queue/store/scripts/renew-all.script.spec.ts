import { beforeEach, describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { commandDelta } from '../../../../test/support/command-delta.js';
import { QueueScriptBed } from '../../../../test/support/queue-script-bed.js';
import { Keyspace } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED, queueKeys, retryKeys, scheduleKeys, type QueueKeys } from '../queue.keys.js';
import {
  LOOK_AT_ENTRIES,
  LOOK_EVERYWHERE,
  LOOK_NOWHERE,
  renewAllScript,
  renewalKeys,
  type QueueRenewal,
  type RenewedAll,
  type RenewedKeys,
} from './renew-all.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const GROUP = 'sluice';
const LEASE_MS = 60_000;
/** One call names queues of one slot only. */
const keys = queueKeys(new Keyspace(), '{q}tasks');
const second = queueKeys(new Keyspace(), '{q}second');
const third = queueKeys(new Keyspace(), '{q}third');
const own = retryKeys(new Keyspace(), '{q}tasks', GROUP);
const bed = new QueueScriptBed(keys.stream);

interface Turn {
  looks?: number;
  credit?: number;
  foreignIdleMs?: number;
  keep?: number;
  keepMs?: number;
  /** False: the caller has asked for what there may be to tell, and there was nothing. */
  noted?: boolean;
}

const keysOf = (queue: QueueKeys): RenewedKeys => ({
  keys: queue,
  scheduleDueKey: scheduleKeys(new Keyspace(), queue).due,
  retries: queue === keys ? own : { stream: `${queue.side}retry:x`, delayed: `${queue.side}delayed:x` },
});

async function renewAll(queues = [keys], look: Turn = {}): Promise<RenewedAll> {
  const { looks = LOOK_EVERYWHERE, credit = 1, foreignIdleMs = 0, keep = -1, keepMs = -1, noted = true } = look;
  return renewAllScript.run(bed.link, {
    keys: {},
    restKeys: renewalKeys(queues.map(keysOf), { looks, noted }),
    args: { consumer: ME, leaseMs: LEASE_MS, looks, sweepMs: LEASE_MS, notes: noted ? 1 : 0 },
    rest: looks > LOOK_NOWHERE ? queues.flatMap(() => [GROUP, credit, foreignIdleMs, keep, keepMs]) : [],
  });
}

async function told(look: Turn = {}): Promise<QueueRenewal> {
  const [answer] = (await renewAll([keys], look)).queues;
  if (answer === undefined || answer instanceof Error) throw new Error(`not renewed: ${String(answer)}`);
  return answer;
}

/** As if no process had looked yet. */
const again = (): Promise<number> => bed.admin.del(keys.swept);
const NOTHING = { leaseEnded: false, orphaned: false, pending: false, unclean: false };

/** As if the last renewal had been a second ago: otherwise it may be in the same millisecond. */
async function aMomentAgo(...queues: readonly QueueKeys[]): Promise<void> {
  const now = await bed.serverMs();
  for (const { alive } of queues) await bed.admin.zadd(alive, now + LEASE_MS - 1_000, ME);
}

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
    const { queues } = await renewAll([keys, second], { looks: LOOK_NOWHERE });
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
    const { nextEndMs } = await renewAll([keys, second], { looks: LOOK_NOWHERE });
    expect(nextEndMs).toBeGreaterThan(0);
    expect(nextEndMs).toBeLessThanOrEqual(2_000);
    await bed.admin.zadd(second.alive, now - 1, OTHER);
    const after = await renewAll([keys, second], { looks: LOOK_NOWHERE });
    expect(after.nextEndMs).toBeUndefined();
    expect(after.queues).toMatchObject([{ leaseEnded: false }, { leaseEnded: true }]);
  });

  describe.each([
    ['the first queue', (): QueueKeys[] => [keys]],
    ['another queue', (): QueueKeys[] => [second, keys]],
  ])('on %s', (_which, those) => {
    const renewed = async (): Promise<QueueRenewal & Pick<RenewedAll, 'nextEndMs'>> => {
      const { queues, nextEndMs } = await renewAll(those(), { looks: LOOK_NOWHERE });
      return { ...(queues.at(-1) as QueueRenewal), nextEndMs };
    };

    it.each([1, 2, 3])(
      'knows its own lease, and the first one of the others, also as lease number %i',
      async (place) => {
        const now = await bed.serverMs();
        for (let at = 1; at < 4; at++)
          await bed.admin.zadd(keys.alive, now + at * 10_000, at === place ? ME : `${OTHER}${at}`);
        const { unbroken, nowMs, nextEndMs } = await renewed();
        expect(unbroken).toBe(true);
        expect(nowMs + nextEndMs!).toBe(now + (place === 1 ? 20_000 : 10_000));
      },
    );

    it('tells that there was no lease of its own, and of no end of it', async () => {
      expect(await renewed()).toMatchObject({ unbroken: false, nextEndMs: undefined });
      expect(await renewed()).toMatchObject({ unbroken: true, nextEndMs: undefined });
      await bed.admin.zrem(keys.alive, ME);
      await bed.admin.zadd(keys.alive, (await bed.serverMs()) + LEASE_MS, OTHER);
      expect(await renewed()).toMatchObject({ unbroken: false });
      const { nowMs } = await renewed();
      expect(Number(await bed.admin.zscore(keys.alive, ME))).toBe(nowMs + LEASE_MS);
    });

    it('tells the lease of another process as long as it has ended, though it has one itself', async () => {
      const now = await bed.serverMs();
      await bed.admin.zadd(keys.alive, now - 1, OTHER, now + LEASE_MS - 20_000, ME);
      expect(await renewed()).toMatchObject({ unbroken: true, leaseEnded: true });
      expect(await renewed()).toMatchObject({ unbroken: true, leaseEnded: true });
    });

    it('tells of the ends by the clock that was set back', async () => {
      const [now, hour] = [await bed.serverMs(), 3_600_000];
      await bed.admin.zadd(keys.alive, now + LEASE_MS + hour, ME, now + LEASE_MS + hour - 40_000, OTHER);
      const { nextEndMs } = await renewed();
      expect(nextEndMs).toBeGreaterThan(0);
      expect(nextEndMs).toBeLessThanOrEqual(LEASE_MS);
      expect(Number(await bed.admin.zscore(keys.alive, ME))).toBeLessThan(now + hour);
    });
  });

  const NOTES: [string, (queue: QueueKeys) => Promise<unknown>, Partial<QueueRenewal>][] = [
    ['a pause', ({ paused }) => bed.admin.set(paused, '1'), { paused: true }],
    ['a delayed task', ({ delayed }) => bed.admin.zadd(delayed, 1, 'task'), { dueMs: 0 }],
    ['a schedule', (q) => bed.admin.zadd(scheduleKeys(new Keyspace(), q).due, 1, 'nightly'), { scheduleDueMs: 0 }],
    ['a listener to events', ({ observed }) => bed.admin.set(observed, '1'), { observed: true }],
    ['a cancelled task', ({ cancelled }) => bed.admin.zadd(cancelled, 1, '1-1 sluice'), { cancelled: true }],
    ['data of a newer release', ({ uses }) => bed.admin.hset(uses, 'lanes', '9.0.0'), { unknown: 'lanes@9.0.0' }],
  ];
  it.each(NOTES)(
    'tells of %s, though nothing else is there, of the queue that has it',
    async (_what, there, expected) => {
      const quiet = {
        ...{ paused: false, dueMs: undefined, scheduleDueMs: undefined, cancelled: false, observed: false },
        unknown: undefined,
      };
      // Some queues are asked about at once.
      const many = Array.from({ length: 8 }, (_, i) => queueKeys(new Keyspace(), `{q}queue${i}`));
      for (const place of [0, 5, 6, 7]) {
        await bed.admin.flushdb();
        await there(many[place]!);
        for (const looks of [LOOK_NOWHERE, LOOK_AT_ENTRIES]) {
          if (looks !== LOOK_NOWHERE)
            for (const { stream } of many) await bed.admin.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM');
          const { queues } = await renewAll(many, { looks });
          expect(queues).toMatchObject(many.map((_, i) => (i === place ? { ...quiet, ...expected } : quiet)));
        }
      }
    },
  );

  it('tells of data of a newer release even if the caller has just seen that there is nothing else', async () => {
    await bed.admin.hset(second.uses, 'lanes', '9.0.0');
    const { queues } = await renewAll([keys, second], { looks: LOOK_NOWHERE, noted: false });
    expect(queues).toMatchObject([{ unknown: undefined }, { unknown: 'lanes@9.0.0' }]);
  });

  it('finds the retries of the group of a queue, among those of many', async () => {
    const many = Array.from({ length: 17 }, (_, i) => queueKeys(new Keyspace(), `{q}queue${i}`));
    for (const { stream } of many) await bed.admin.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM');
    for (const place of [0, 14, 15, 16]) {
      for (const key of Object.values(keysOf(many[place]!).retries)) {
        for (const { swept } of many) await bed.admin.del(swept);
        await bed.admin.set(key, 'some');
        const { queues } = await renewAll(many, { looks: LOOK_AT_ENTRIES });
        expect(queues).toMatchObject(many.map((_, i) => ({ unclean: i === place })));
        await bed.admin.del(key);
      }
    }
  });

  it('executes two commands per queue where there is nothing to tell, and one for several queues', async () => {
    const three = [second, third, keys];
    await renewAll(three, { looks: LOOK_NOWHERE });
    await aMomentAgo(...three);
    const { calls } = await commandDelta(bed.admin, () => renewAll(three, { looks: LOOK_NOWHERE }));
    // The leases of the first queue are read.
    expect(calls).toEqual({ evalsha: 1, time: 1, exists: 2, zrange: 1, zrem: 1, zadd: 3, zcount: 2 });
    await aMomentAgo(...three);
    const look = { looks: LOOK_NOWHERE, noted: false };
    const { calls: asked } = await commandDelta(bed.admin, () => renewAll(three, look));
    expect(asked).toEqual({ evalsha: 1, time: 1, exists: 1, zrange: 1, zrem: 1, zadd: 3, zcount: 2 });
  });

  it('executes one more to look at a queue without entries, and two if it looks everywhere', async () => {
    await renewAll();
    const { calls } = await commandDelta(bed.admin, () => renewAll([keys], { looks: LOOK_AT_ENTRIES }));
    expect(calls).toEqual({ evalsha: 1, time: 1, exists: 3, zrange: 1, zrem: 1, zadd: 1, xlen: 1 });
    await bed.admin.hset(keys.swept, GROUP, (await bed.serverMs()) - 2 * LEASE_MS);
    const { calls: everywhere } = await commandDelta(bed.admin, () => renewAll());
    expect(everywhere).toEqual({ evalsha: 1, time: 1, exists: 3, zrange: 1, zrem: 1, zadd: 1, xlen: 1, hget: 1 });
  });

  it.each<[string, () => Promise<unknown>, Turn]>([
    ['three sweeps without one', () => bed.admin.hset(keys.swept, GROUP, 1), { looks: LOOK_EVERYWHERE }],
    ['an entry', () => bed.admin.xadd(keys.stream, '*', 'payload', 'x'), {}],
    ['a retry', () => bed.admin.zadd(own.delayed, 1, 'retry'), {}],
    ['a number of dead letters to keep', () => Promise.resolve(), { keep: 5 }],
    ['a time for which they are kept', () => Promise.resolve(), { keepMs: 5 }],
  ])('executes four more to look because of %s', async (_what, there, look) => {
    await bed.admin.xgroup('CREATECONSUMER', keys.stream, GROUP, ME);
    await renewAll();
    await bed.admin.hset(keys.swept, GROUP, (await bed.serverMs()) - LEASE_MS);
    await there();
    const { calls } = await commandDelta(bed.admin, () => renewAll([keys], { looks: LOOK_AT_ENTRIES, ...look }));
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
