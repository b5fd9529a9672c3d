import { describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { Keyspace } from '../../../redis/index.js';
import { queueKeys, retryKeys } from '../queue.keys.js';
import { janitorScript, type Cleaned } from './janitor.script.js';

const ME = 'me';
const keys = queueKeys(new Keyspace(), 'tasks');
const { stream: retry, delayed: retryDelayed } = retryKeys(new Keyspace(), 'tasks', GROUP);
const bed = new QueueScriptBed(keys.stream);

const clean = (cursor = '', slice = 100): Promise<Cleaned> =>
  janitorScript.run(bed.link, { keys: { ...keys, retry, retryDelayed }, args: { cursor, slice } });
const add = async (count: number): Promise<string[]> => {
  const pipeline = bed.admin.pipeline();
  for (let n = 0; n < count; n++) pipeline.xadd(keys.stream, '*', ...task(String(n)));
  return (await pipeline.exec())!.map(([, id]) => id as string);
};
const read = (group = GROUP): Promise<unknown> => bed.admin.xreadgroup('GROUP', group, ME, 'STREAMS', keys.stream, '>');
const ack = (ids: readonly string[], group = GROUP): Promise<unknown> => bed.admin.xack(keys.stream, group, ...ids);
const left = async (): Promise<string[]> => (await bed.admin.xrange(keys.stream, '-', '+')).map(([id]) => id);

describe('janitor', () => {
  it('frees what a consumer acknowledged and did not delete, and nothing that waits or pends', async () => {
    const ids = await add(250);
    await read();
    const waiting = await add(1);
    await ack(ids.slice(0, 230));
    expect(await clean()).toMatchObject({ freed: 230, groups: 1, more: false });
    expect(await left()).toEqual([...ids.slice(230), ...waiting]);
    await ack(ids);
    expect(await clean()).toMatchObject({ freed: 20 });
    expect(await left()).toEqual(waiting);
  });

  it('frees what lies between entries that pend for long, slice by slice', async () => {
    const ids = await add(10);
    await read();
    await ack(ids.filter((_, i) => i % 3 !== 0));
    const first = await clean('', 4);
    expect(first).toMatchObject({ freed: 2, cursor: ids[3] });
    expect(await left()).toEqual(ids.filter((_, i) => i % 3 === 0 || i > 3));
    const second = await clean(first.cursor, 4);
    expect(second).toMatchObject({ freed: 3, cursor: ids[7] });
    const third = await clean(second.cursor, 4);
    expect(third).toMatchObject({ freed: 1, cursor: '' });
    expect(await left()).toEqual(ids.filter((_, i) => i % 3 === 0));
  });

  // Redis lists groups by name: the slow one comes before ours, or after.
  it.each(['a slow one', 'z slow one'])('asks all groups: what %s waits for, or has pending, stays', async (slow) => {
    const ids = await add(4);
    await bed.admin.xgroup('CREATE', keys.stream, slow, '0');
    await read();
    await ack(ids);
    expect(await clean()).toMatchObject({ freed: 0, groups: 2 });
    await bed.admin.xreadgroup('GROUP', slow, ME, 'COUNT', 3, 'STREAMS', keys.stream, '>');
    await ack([ids[0]!, ids[2]!], slow);
    expect(await clean()).toMatchObject({ freed: 2 });
    expect(await left()).toEqual([ids[1], ids[3]]);
  });

  it('leaves everything to a group that begins at 0', async () => {
    const ids = await add(3);
    await read();
    await ack(ids);
    await bed.admin.xgroup('CREATE', keys.stream, 'late', '0');
    expect(await clean()).toMatchObject({ freed: 0 });
    expect(await left()).toEqual(ids);
  });

  it('deletes nothing without a group, and makes no stream', async () => {
    await add(2);
    await bed.admin.xgroup('DESTROY', keys.stream, GROUP);
    expect(await clean()).toMatchObject({ groups: 0, freed: 0 });
    expect(await left()).toHaveLength(2);
    await bed.admin.del(keys.stream);
    expect(await clean()).toMatchObject({ groups: 0, freed: 0, retries: false });
    expect(await bed.admin.exists(keys.stream)).toBe(0);
  });

  it('knows ids apart that are one as numbers', async () => {
    const ids = ['7-9007199254740992', '7-9007199254740993'];
    for (const id of ids) await bed.admin.xadd(keys.stream, id, ...task());
    await read();
    await ack([ids[1]!]);
    await clean();
    expect(await left()).toEqual([ids[0]]);
  });

  it('knows ids apart by their time first', async () => {
    for (const id of ['1-5', '3-0']) await bed.admin.xadd(keys.stream, id, ...task());
    await read();
    await ack(['3-0']);
    await clean();
    expect(await left()).toEqual(['1-5']);
  });

  it('leaves what pends behind more deleted entries than one look at what pends shows', async () => {
    const ids = await add(1_010);
    await read();
    // The first and the last are one slice. What was deleted between them still pends.
    await bed.admin.xdel(keys.stream, ...ids.slice(1, -1));
    // A second group: with one alone, nothing is looked at while all that is there pends.
    await bed.admin.xgroup('CREATE', keys.stream, 'other', '0');
    await read('other');
    await ack(ids, 'other');
    await clean('', 2);
    expect(await left()).toEqual([ids[0], ids.at(-1)]);
  });

  it('does so much in one call and tells when there is more', async () => {
    const ids = await add(12_000);
    await read();
    for (let i = 0; i < ids.length; i += 1_000) await ack(ids.slice(i, i + 1_000));
    const first = await clean();
    expect(first.more).toBe(true);
    expect(first.freed).toBeLessThanOrEqual(10_000);
    expect((await clean()).freed).toBe(12_000 - first.freed);
    expect(await left()).toEqual([]);
  });

  it('tells whether the group has retries of its own', async () => {
    expect(await clean()).toMatchObject({ retries: false });
    await bed.admin.zadd(retryDelayed, 1, 'x');
    expect(await clean()).toMatchObject({ retries: true });
    await bed.admin.del(retryDelayed);
    await bed.admin.xadd(retry, '*', ...task());
    expect(await clean()).toMatchObject({ retries: true });
  });

  itAsUsersSendIt('works on a server that is full', async () => {
    const ids = await add(3);
    await read();
    await ack(ids);
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      expect(await clean()).toMatchObject({ freed: 3 });
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
  });
});
