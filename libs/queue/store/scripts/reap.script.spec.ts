import { describe, expect, it } from '@jest/globals';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { Keyspace } from '../../../redis/index.js';
import { CONSUMER_PREFIX, PARKED, RELEASED, queueKeys } from '../queue.keys.js';
import { reapScript } from './reap.script.js';
import { ORDER, PLACES } from './uses.fragment.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const FOREIGN = 'somebody-else';
const INBOXES = ':~inbox:0:';
const LEASE_MS = 60_000;
const keys = queueKeys(new Keyspace(), 'tasks');
const bed = new QueueScriptBed(keys.stream);
const { pendingTask, pending, consumers, entries, serverMs } = bed;

describe('reap', () => {
  interface Over {
    capacity?: number;
    maxDeliveries?: number;
    alone?: number;
    foreignIdleMs?: number;
    sinceMs?: number;
    endsMs?: number;
  }
  /** By a caller whose lease has been unbroken for long, and stands. */
  const reap = async (
    over: Over = {},
  ): Promise<{ claimed: [string, number][]; deadLetters: string[]; more: boolean }> => {
    await lease(ME, LEASE_MS);
    return reapAlone(over);
  };
  const reapAlone = async (
    over: Over = {},
  ): Promise<{ claimed: [string, number][]; deadLetters: string[]; more: boolean }> => {
    const now = await serverMs();
    const { claimed, deadLetters, more } = await reapScript.run(bed.link, {
      keys: { history: keys.dead, ...keys, failedTo: keys.dead },
      args: {
        keep: 0,
        level: '-',
        group: GROUP,
        consumer: ME,
        leaseMs: LEASE_MS,
        sinceMs: now - LEASE_MS,
        endsMs: now + LEASE_MS / 2,
        capacity: 100,
        maxDeliveries: 5,
        alone: 0,
        foreignIdleMs: 0,
        released: RELEASED,
        prefix: CONSUMER_PREFIX,
        publishes: '',
        side: keys.side,
        inboxes: INBOXES,
        ...over,
      },
    });
    return { claimed: claimed.map(({ id, deliveries }) => [id, deliveries]), deadLetters, more };
  };
  const lease = async (consumer: string, ms: number): Promise<void> =>
    bed.admin.zadd(keys.alive, (await serverMs()) + ms, consumer).then(() => {});

  it('leaves a lease that has ended, if the caller may not declare others dead: it shows the others what to do', async () => {
    await lease(OTHER, -1);
    await reap({ sinceMs: await serverMs() });
    expect(await bed.admin.zscore(keys.alive, OTHER)).not.toBeNull();
    await reap();
    expect(await bed.admin.zscore(keys.alive, OTHER)).toBeNull();
  });

  it('takes over what waits for a place of its key, and nothing that waits for its turn in an ordered queue', async () => {
    const waits = await pendingTask(PARKED);
    await bed.admin.hset(keys.uses, ORDER, '0.1.0 1');
    expect((await reap()).claimed).toEqual([]);
    expect(await pending()).toEqual({ [waits]: [PARKED, 1] });
    await bed.admin.hdel(keys.uses, ORDER);
    await bed.admin.hset(keys.uses, PLACES, '0.1.0 1');
    expect((await reap()).claimed).toEqual([[waits, 2]]);
  });

  it('takes over what a consumer without a running lease has, and deletes the consumer', async () => {
    const [never, lapsed] = [await pendingTask(OTHER), await pendingTask(`${CONSUMER_PREFIX}lapsed`)];
    await lease(`${CONSUMER_PREFIX}lapsed`, -1);
    const { claimed } = await reap();
    expect(claimed.sort()).toEqual([
      [never, 2],
      [lapsed, 2],
    ]);
    expect(await pending()).toEqual({ [never]: [ME, 2], [lapsed]: [ME, 2] });
    expect(await consumers()).toEqual([ME]);
    expect(await bed.admin.zrange(keys.alive, '0', '-1')).toEqual([ME]);
  });

  it('sweeps the lease of a process that was killed before it got any task', async () => {
    await lease(OTHER, -1);
    await lease(FOREIGN, 1_000);
    await reap();
    expect(await bed.admin.zrange(keys.alive, '0', '-1')).toEqual([FOREIGN, ME]);
  });

  it('hands over the whole entry', async () => {
    await pendingTask(OTHER, { fields: task('{"n":7}', '2', '{"id":"1-1"}') });
    await lease(ME, 2 * LEASE_MS);
    const now = await serverMs();
    const { claimed } = await reapScript.run(bed.link, {
      keys: { history: keys.dead, ...keys, failedTo: keys.dead },
      args: {
        keep: 0,
        level: '-',
        ...{ group: GROUP, consumer: ME, leaseMs: LEASE_MS, sinceMs: now - LEASE_MS, endsMs: now + LEASE_MS },
        ...{
          capacity: 1,
          maxDeliveries: 5,
          alone: 0,
          foreignIdleMs: 0,
          released: RELEASED,
          prefix: CONSUMER_PREFIX,
          publishes: '',
          side: keys.side,
          inboxes: INBOXES,
        },
      },
    });
    expect(claimed[0]!.fields).toEqual(task('{"n":7}', '2', '{"id":"1-1"}'));
  });

  it('takes no more than it has room for, oldest first, and keeps the consumer of the rest', async () => {
    const ids = [await pendingTask(OTHER), await pendingTask(OTHER), await pendingTask(OTHER)];
    expect((await reap({ capacity: 2 })).claimed).toEqual([
      [ids[0], 2],
      [ids[1], 2],
    ]);
    expect(await pending()).toMatchObject({ [ids[2]!]: [OTHER, 1] });
    expect(await consumers()).toContain(OTHER);
    expect((await reap({ capacity: 0 })).claimed).toEqual([]);
    expect((await reap({ capacity: 2 })).claimed).toEqual([[ids[2], 2]]);
    expect(await consumers()).toEqual([ME]);
  });

  it('counts its room over all the dead', async () => {
    for (const name of ['a', 'b', 'c']) await pendingTask(CONSUMER_PREFIX + name);
    expect((await reap({ capacity: 2 })).claimed).toHaveLength(2);
  });

  it('lets those alone who live, who are not of ours, and itself', async () => {
    await lease(OTHER, 1_000);
    const before = [await pendingTask(OTHER), await pendingTask(FOREIGN), await pendingTask(ME)];
    expect(await reap()).toMatchObject({ claimed: [], deadLetters: [] });
    expect(await pending()).toEqual({ [before[0]!]: [OTHER, 1], [before[1]!]: [FOREIGN, 1], [before[2]!]: [ME, 1] });
    expect(await consumers()).toHaveLength(3);
  });

  it.each<[string, (now: number) => Over]>([
    ['for less than a lease', (now) => ({ sinceMs: now - LEASE_MS + 5_000 })],
    ['not at all', () => ({ sinceMs: 0, endsMs: 0 })],
    ['but no longer', (now) => ({ sinceMs: now - 3 * LEASE_MS, endsMs: now - 1 })],
  ])('declares nobody dead while its own lease is known to be unbroken %s', async (_what, proof) => {
    const id = await pendingTask(OTHER);
    // A lease taken anew a moment ago, as after an outage, proves nothing.
    expect((await reap(proof(await serverMs()))).claimed).toEqual([]);
    expect(await pending()).toEqual({ [id]: [OTHER, 1] });
  });

  it.each([
    ['is gone', undefined],
    ['is an older one', LEASE_MS / 3],
  ])('declares nobody dead when its own lease %s: then Redis lost data, and those of others as well', async (_, ms) => {
    const id = await pendingTask(OTHER);
    if (ms !== undefined) await lease(ME, ms);
    expect((await reapAlone()).claimed).toEqual([]);
    expect(await pending()).toEqual({ [id]: [OTHER, 1] });
  });

  it('takes what it can at once, and no more than a script holds', async () => {
    const fields = task();
    const pipeline = bed.admin.pipeline();
    for (let n = 0; n < 9_000; n++) pipeline.xadd(keys.stream, '*', ...fields);
    await pipeline.exec();
    await bed.admin.xreadgroup('GROUP', GROUP, OTHER, 'STREAMS', keys.stream, '>');
    const { claimed } = await reap({ capacity: 10_000 });
    expect(claimed.length).toBeGreaterThan(100);
    expect(Object.values(await pending())).toHaveLength(1_000);
  });

  it('takes what was returned without any proof', async () => {
    const id = await pendingTask(RELEASED);
    expect((await reap({ sinceMs: 0, endsMs: 0 })).claimed).toEqual([[id, 2]]);
    expect(await consumers()).toEqual([ME]);
  });

  it('buries what was delivered too often, also without room', async () => {
    const [often, once] = [await pendingTask(OTHER, { deliveries: 3 }), await pendingTask(OTHER, { deliveries: 2 })];
    expect(await reap({ capacity: 0, maxDeliveries: 3 })).toMatchObject({ claimed: [], deadLetters: [often] });
    expect(await pending()).toEqual({ [once]: [OTHER, 2] });
    expect(await entries(keys.dead)).toEqual([
      expect.objectContaining({
        ...{ payload: '{"n":1}', retry_count: '0', original_id: often, reason: 'max-deliveries', deliveries: '3' },
        error: expect.stringContaining('delivered 3 times'),
      }),
    ]);
  });

  it('keeps what it cannot bury, and buries it later', async () => {
    const id = await pendingTask(OTHER, { deliveries: 3 });
    await bed.admin.set(keys.dead, 'something else');
    expect(await reap({ maxDeliveries: 3 })).toMatchObject({ claimed: [], deadLetters: [] });
    expect(await pending()).toEqual({ [id]: [OTHER, 3] });
    await bed.admin.del(keys.dead);
    expect((await reap({ maxDeliveries: 3 })).deadLetters).toEqual([id]);
  });

  it('hands out one at a time what two consumers died with, and meanwhile what need not be alone', async () => {
    const ids: string[] = [];
    for (const deliveries of [2, 2, 1, 2, 1]) ids.push(await pendingTask(OTHER, { deliveries }));
    expect((await reap()).claimed).toEqual([
      [ids[0], 3],
      [ids[2], 2],
      [ids[4], 2],
    ]);
    expect((await reap({ alone: 1 })).claimed).toEqual([]);
    expect((await reap()).claimed).toEqual([[ids[1], 3]]);
    expect(await pending()).toMatchObject({ [ids[3]!]: [OTHER, 2] });
  });

  it('isolates the last delivery, if that is the second', async () => {
    const ids = [await pendingTask(OTHER), await pendingTask(OTHER)];
    expect((await reap({ maxDeliveries: 2 })).claimed).toEqual([[ids[0], 2]]);
  });

  it('hands out what was returned without a delivery at once, whatever the limit', async () => {
    const ids = [await pendingTask(RELEASED), await pendingTask(RELEASED)];
    await bed.admin.call('XCLAIM', keys.stream, GROUP, RELEASED, 0, ...ids, 'RETRYCOUNT', 0, 'JUSTID');
    expect((await reap({ maxDeliveries: 1 })).claimed).toHaveLength(2);
  });

  it('takes from a consumer of other software what it has had for too long, and leaves it and the rest', async () => {
    const [old, young] = [await pendingTask(FOREIGN), await pendingTask(FOREIGN)];
    await bed.admin.call('XCLAIM', keys.stream, GROUP, FOREIGN, 0, old, 'IDLE', 60_000, 'RETRYCOUNT', 1, 'JUSTID');
    expect((await reap({ foreignIdleMs: 0 })).claimed).toEqual([]);
    expect((await reap({ foreignIdleMs: 30_000, sinceMs: await serverMs() })).claimed).toEqual([]);
    expect((await reap({ foreignIdleMs: 30_000 })).claimed).toEqual([[old, 2]]);
    expect(await pending()).toEqual({ [old]: [ME, 2], [young]: [FOREIGN, 1] });
    expect(await consumers()).toContain(FOREIGN);
  });

  it('takes nothing from one of ours that lives, however long it has had it', async () => {
    const id = await pendingTask(OTHER);
    await lease(OTHER, LEASE_MS);
    await bed.admin.call('XCLAIM', keys.stream, GROUP, OTHER, 0, id, 'IDLE', 600_000, 'RETRYCOUNT', 1, 'JUSTID');
    expect((await reap({ foreignIdleMs: 1_000 })).claimed).toEqual([]);
  });

  it('buries under the id of the first publish, and tells it', async () => {
    await pendingTask(OTHER, { deliveries: 5, fields: task('1', '1', '{"id":"42-0"}') });
    expect((await reap()).deadLetters).toEqual(['42-0']);
    expect(await entries(keys.dead)).toMatchObject([{ original_id: '42-0' }]);
  });

  it.each(['{"user":{"id":"42"}}', '["id"]', '"id":"42"', '{"id":""}', '{"id":7}', '{'])(
    'buries under the id of the entry where meta tells no other: %s',
    async (meta) => {
      const id = await pendingTask(OTHER, { deliveries: 5, fields: task('1', '1', meta) });
      expect((await reap()).deadLetters).toEqual([id]);
      expect(await entries(keys.dead)).toMatchObject([{ original_id: id, meta }]);
    },
  );

  it('drops what was deleted', async () => {
    const id = await pendingTask(OTHER);
    await bed.admin.xdel(keys.stream, id);
    expect((await reap()).claimed).toEqual([]);
    expect(await pending()).toEqual({});
    expect(await consumers()).toEqual([]);
  });

  it('hands large tasks out some megabytes at a time, and says that there are more', async () => {
    const fields = task(JSON.stringify('x'.repeat(2 ** 20)));
    for (let n = 0; n < 6; n++) await pendingTask(RELEASED, { fields });
    const first = await reap();
    expect([first.claimed.length, first.more]).toEqual([4, true]);
    const second = await reap();
    expect([second.claimed.length, second.more]).toEqual([2, false]);
  });
});
