import { describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { Keyspace } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED, queueKeys } from '../queue.keys.js';
import { ackScript } from './ack.script.js';
import { returnTasksScript } from './return-tasks.script.js';
import { leaveScript } from './leave.script.js';
import { reconcileScript } from './reconcile.script.js';
import { deleteLettersScript } from './redrive.script.js';
import { removeWaitingScript } from './remove.script.js';
import { renewScript } from './renew.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const LEASE_MS = 60_000;
const INBOXES = ':~inbox:0:';
const keys = queueKeys(new Keyspace(), 'tasks');
const bed = new QueueScriptBed(keys.stream);
const { pendingTask, pending, consumers, entries, serverMs } = bed;

describe('reconcile', () => {
  const reconcile = (known: string[] = [], over: { capacity?: number; minIdleMs?: number } = {}) =>
    reconcileScript.run(bed.link, {
      keys: { stream: keys.stream },
      args: { group: GROUP, consumer: ME, capacity: 100, minIdleMs: 0, ...over },
      rest: known,
    });

  it('hands out what its consumer does not know of, without counting a delivery', async () => {
    const [known, lost] = [await pendingTask(ME), await pendingTask(ME, { deliveries: 2, fields: task('7') })];
    const others = await pendingTask(OTHER);
    expect(await reconcile([known])).toEqual({
      pending: new Map([
        [known, 1],
        [lost, 2],
      ]),
      lost: [{ id: lost, deliveries: 2, fields: task('7') }],
    });
    expect(await pending()).toEqual({ [known]: [ME, 1], [lost]: [ME, 2], [others]: [OTHER, 1] });
  });

  it('hands out no more than there is room for, and nothing that may still arrive', async () => {
    const first = await pendingTask(ME);
    await pendingTask(ME);
    expect((await reconcile([], { capacity: 1 })).lost).toMatchObject([{ id: first }]);
    const young = await reconcile([], { minIdleMs: 60_000 });
    expect([young.lost, young.pending.size]).toEqual([[], 2]);
  });

  it('drops what was deleted', async () => {
    await bed.admin.xdel(keys.stream, await pendingTask(ME));
    expect((await reconcile()).lost).toEqual([]);
    expect(await pending()).toEqual({});
  });
});

describe('remove', () => {
  const remove = (id: string): Promise<boolean> =>
    removeWaitingScript.run(bed.link, { keys, args: { released: RELEASED, id, task: id, side: keys.side } });

  it('takes what waits or was returned, and leaves what a worker of any group has got meanwhile', async () => {
    const [mine, returned] = [await pendingTask(ME), await pendingTask(RELEASED)];
    await bed.admin.xgroup('CREATE', keys.stream, 'other', '0');
    await bed.admin.xreadgroup('GROUP', 'other', OTHER, 'COUNT', 1, 'STREAMS', keys.stream, '>');
    expect([await remove(mine), await remove(returned), await remove(returned)]).toEqual([false, true, false]);
    await bed.admin.xack(keys.stream, GROUP, mine);
    expect(await remove(mine)).toBe(false);
    await bed.admin.xack(keys.stream, 'other', mine);
    expect(await remove(mine)).toBe(true);
    expect(await pending()).toEqual({});
  });
});

describe('delete-letters', () => {
  it('leaves the other letters of a task in the index', async () => {
    for (const id of ['1000-0', '2000-0']) await bed.admin.xadd(keys.dead, id, ...task());
    await bed.admin.zadd(keys.deadIndex, 1_000, 't', 2_000, 't\u00002');
    expect(await deleteLettersScript.run(bed.link, { keys, args: {}, rest: ['2000-0', 't'] })).toBe(1);
    expect(await bed.admin.zrange(keys.deadIndex, '0', '-1', 'WITHSCORES')).toEqual(['t', '1000']);
  });
});

describe('ack', () => {
  const ack = (...ids: string[]): Promise<number> =>
    ackScript.run(bed.link, { keys, args: { group: GROUP, count: ids.length }, rest: ids });

  it('acknowledges and deletes, whoever has the task by now', async () => {
    const [mine, taken, waiting] = [await pendingTask(ME), await pendingTask(OTHER), await pendingTask(ME)];
    expect(await ack(mine, taken)).toBe(2);
    expect(await ack(mine, taken)).toBe(0);
    expect(await pending()).toEqual({ [waiting]: [ME, 1] });
    expect((await entries(keys.stream)).map((entry) => entry['id'])).toEqual([waiting]);
  });

  // Redis lists groups by name: ours is the second of the one pair, the first of the other.
  it.each(['before', 'third'])('leaves entries to a second group (%s)', async (second) => {
    await bed.admin.xgroup('CREATE', keys.stream, second, '0');
    expect(await ack(await pendingTask(ME))).toBe(1);
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
  });

  it('leaves entries to the only group that is left when its own was destroyed', async () => {
    await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
    const id = await pendingTask(ME);
    await bed.admin.xgroup('DESTROY', keys.stream, GROUP);
    expect(await ack(id)).toBe(0);
    expect((await entries(keys.stream)).map((entry) => entry['id'])).toEqual([id]);
  });

  it('leaves a deleted stream deleted', async () => {
    await bed.admin.del(keys.stream);
    expect(await ack('1-1')).toBe(0);
    expect(await bed.admin.exists(keys.stream)).toBe(0);
  });
});

describe('renew', () => {
  const renew = (leaseMs = LEASE_MS): Promise<{ unbroken: boolean; nowMs: number }> =>
    renewScript.run(bed.link, { keys, args: { consumer: ME, leaseMs } });

  it("says whether the lease was unbroken, and ends it one lease after the server's now", async () => {
    expect(await renew()).toMatchObject({ unbroken: false });
    const { unbroken, nowMs } = await renew();
    expect(unbroken).toBe(true);
    expect(Number(await bed.admin.zscore(keys.alive, ME))).toBe(nowMs + LEASE_MS);
    expect(Math.abs(nowMs - (await serverMs()))).toBeLessThan(1_000);

    await bed.admin.zadd(keys.alive, (await serverMs()) - 1, ME);
    expect(await renew()).toMatchObject({ unbroken: false });
    await bed.admin.zrem(keys.alive, ME);
    expect(await renew()).toMatchObject({ unbroken: false });
  });

  it('moves what ends too late back by as much as the clock was set back, and leaves what was taken since', async () => {
    await renew();
    const before = await serverMs();
    const HOUR = 3_600_000;
    await bed.admin.zadd(keys.alive, before + HOUR + LEASE_MS, ME);
    await bed.admin.zadd(keys.alive, before + HOUR + LEASE_MS - 40, 'killed');
    await bed.admin.zadd(keys.alive, before + HOUR + 10 * LEASE_MS, 'longer lease');
    await bed.admin.zadd(keys.alive, before + LEASE_MS - 7, 'new');
    const { nowMs, unbroken } = await renew();
    expect(unbroken).toBe(true);
    const ends = async (consumer: string): Promise<number> => Number(await bed.admin.zscore(keys.alive, consumer));
    expect(await ends(ME)).toBe(nowMs + LEASE_MS);
    expect(await ends('killed')).toBe(nowMs + LEASE_MS - 40);
    expect(await ends('longer lease')).toBe(nowMs + 10 * LEASE_MS);
    expect(await ends('new')).toBe(before + LEASE_MS - 7);
  });

  it('moves nothing while the clock goes on', async () => {
    await renew();
    const later = (await serverMs()) + 10 * LEASE_MS;
    await bed.admin.zadd(keys.alive, later, 'longer lease');
    await renew();
    expect(Number(await bed.admin.zscore(keys.alive, 'longer lease'))).toBe(later);
  });

  itAsUsersSendIt('works on a server that is full', async () => {
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      await expect(bed.admin.zadd(keys.alive, 1, OTHER)).rejects.toThrow('OOM');
      await renew();
      expect(await renew()).toMatchObject({ unbroken: true });
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
  });
});

describe('return-tasks', () => {
  const run = (surplus: number, ids: string[]): Promise<string[]> =>
    returnTasksScript.run(bed.link, {
      keys: { stream: keys.stream, alive: keys.alive },
      args: { group: GROUP, consumer: ME, released: RELEASED, inboxes: INBOXES, surplus },
      rest: ids,
    });
  const returnTasks = (...ids: string[]): Promise<string[]> => run(0, ids);

  it('gives entries back with the delivery uncounted', async () => {
    const ids = [await pendingTask(ME), await pendingTask(ME, { deliveries: 3 }), await pendingTask(ME)];
    expect(await returnTasks(ids[0]!, ids[1]!)).toEqual(ids.slice(0, 2));
    expect(await pending()).toEqual({ [ids[0]!]: [RELEASED, 0], [ids[1]!]: [RELEASED, 2], [ids[2]!]: [ME, 1] });
  });

  it('takes nothing from others', async () => {
    const id = await pendingTask(OTHER);
    expect(await returnTasks(id, '1-1')).toEqual([]);
    expect(await pending()).toEqual({ [id]: [OTHER, 1] });
  });

  it('gives back what is too much here only if nothing waits for the others', async () => {
    const id = await pendingTask(ME);
    const waiting = await bed.admin.xadd(keys.stream, '*', ...task());
    expect(await run(1, [id])).toEqual([]);
    expect(await pending()).toEqual({ [id]: [ME, 1] });
    await bed.admin.xreadgroup('GROUP', GROUP, OTHER, 'STREAMS', keys.stream, '>');
    expect(await run(1, [id])).toEqual([id]);
    expect(await pending()).toEqual({ [id]: [RELEASED, 0], [waiting!]: [OTHER, 1] });
  });

  it('gives everything of its own back when asked for nothing in particular', async () => {
    const [mine, others] = [await pendingTask(ME), await pendingTask(OTHER)];
    expect(await returnTasks()).toEqual([mine]);
    expect(await pending()).toEqual({ [mine]: [RELEASED, 0], [others]: [OTHER, 1] });
  });
});

describe('leave', () => {
  const leave = (): Promise<void> =>
    leaveScript.run(bed.link, {
      keys: { stream: keys.stream, alive: keys.alive },
      args: { group: GROUP, consumer: ME },
    });

  it('gives up lease and consumer', async () => {
    await bed.admin.zadd(keys.alive, 1, ME, '2', OTHER);
    await bed.admin.xgroup('CREATECONSUMER', keys.stream, GROUP, ME);
    await leave();
    expect(await consumers()).toEqual([]);
    expect(await bed.admin.zrange(keys.alive, '0', '-1')).toEqual([OTHER]);
  });

  it('keeps the consumer of what is still pending', async () => {
    const id = await pendingTask(ME);
    await bed.admin.zadd(keys.alive, 1, ME);
    await leave();
    expect(await pending()).toEqual({ [id]: [ME, 1] });
    expect(await bed.admin.exists(keys.alive)).toBe(0);
  });

  it('does not bring a deleted stream back', async () => {
    await bed.admin.del(keys.stream);
    await leave();
    expect(await bed.admin.exists(keys.stream)).toBe(0);
  });
});
