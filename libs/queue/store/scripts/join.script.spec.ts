import { describe, expect, it } from '@jest/globals';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { itAsDefaultUser, withoutRight } from '../../../../test/support/refused-commands.js';
import { Keyspace } from '../../../redis/index.js';
import { joinKey, queueKeys } from '../queue.keys.js';
import { ackMembersScript } from './ack-members.script.js';
import { publishMembersScript, type MembersPublish } from './publish-members.script.js';
import { removeDelayedScript } from './remove.script.js';

const keys = queueKeys(new Keyspace(), 'tasks');
const bed = new QueueScriptBed(keys.stream);
const JOIN = 'abc_-9';
const record = joinKey(keys, JOIN);
const TARGET = '{tasks}.settled';

/** Publishes the members `from` to `to` of three. */
const publish = (from: number, to: number, over: { delayMs?: number } = {}): Promise<MembersPublish> =>
  publishMembersScript.run(bed.link, {
    keys: { ...keys, join: record, target: TARGET },
    args: {
      total: 3,
      from,
      payload: from === 0 ? '"p"' : '',
      meta: '',
      inboxes: ':~inbox:0:',
      timestamp: '1700000000',
    },
    rest: Array.from({ length: to - from }, (_, i) => [
      `handle-${from + i}`,
      '1',
      JSON.stringify({ join: `${JOIN}/${from + i}` }),
      over.delayMs ?? 0,
      -1,
      '',
    ]).flat(),
  });
const read = (consumer = 'me'): Promise<unknown> =>
  bed.admin.xreadgroup('GROUP', GROUP, consumer, 'STREAMS', keys.stream, '>');
const ack = (...members: readonly (readonly [id: string, join: string])[]): Promise<number> =>
  ackMembersScript.run(bed.link, {
    keys,
    args: { group: GROUP, side: keys.side },
    rest: members.flatMap(([id, join]) => [id, id, join]),
  });
const counts = (): Promise<(string | null)[]> => bed.admin.hmget(record, 'completed', 'failed', 'removed');

describe('the scripts of joins', () => {
  it('end a join with its last member only, also while not all members are published', async () => {
    const { ids: [first = '', second = ''] = [] } = await publish(0, 2);
    await read();
    expect(await ack([first, `${JOIN}/0`], [second, `${JOIN}/1`])).toBe(2);
    expect(await bed.entries(TARGET)).toEqual([]);
    const { ids: [third = ''] = [] } = await publish(2, 3);
    await read();
    expect(await ack([third, `${JOIN}/2`])).toBe(1);
    const counted = { total: 3, completed: 3, failed: 0, removed: 0 };
    expect(await bed.entries(TARGET)).toMatchObject([{ payload: JSON.stringify({ payload: 'p', counts: counted }) }]);
    expect(await bed.admin.exists(record)).toBe(0);
    expect(await bed.admin.xlen(keys.stream)).toBe(0);
  });

  it('publish members once, in order, and none after the record has expired', async () => {
    await expect(publish(1, 2)).rejects.toThrow('the join has no tasks, and not 1');
    await publish(0, 1);
    await expect(publish(0, 1)).rejects.toThrow('the join has 1 tasks, and not 0');
    await expect(publish(2, 3)).rejects.toThrow('the join has 1 tasks, and not 2');
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
    await bed.admin.del(record);
    await expect(publish(1, 3)).rejects.toThrow('the join has no tasks, and not 1');
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
  });

  it('count a success only if it ends the task: not one that is late, or resent', async () => {
    const { ids: [id = ''] = [] } = await publish(0, 1);
    await read();
    await bed.admin.xack(keys.stream, GROUP, id);
    expect(await ack([id, `${JOIN}/0`])).toBe(0);
    expect(await counts()).toEqual([null, null, null]);
    // Its failure has put it back under another entry.
    const again = await bed.pendingTask('me', { fields: task('1', '1', JSON.stringify({ join: `${JOIN}/0` })) });
    expect(await ack([again, `${JOIN}/0`])).toBe(1);
    expect(await ack([again, `${JOIN}/0`])).toBe(0);
    expect(await counts()).toEqual(['1', '0', '0']);
    expect(await bed.pending()).toEqual({});
  });

  it.each([
    ['beyond the last member', `${JOIN}/3`],
    ['of a join that is not there', 'other/0'],
    ['that is a path', `../${JOIN}/0`],
    ['without a number', JOIN],
    ['with a number that is none', `${JOIN}/-1`],
    ['with a number that is too long', `${JOIN}/${'9'.repeat(80)}`],
    ['that is empty', ''],
  ])('count nothing for a text %s, and settle the task', async (_, text) => {
    await publish(0, 3);
    const before = await bed.admin.hgetall(record);
    await read();
    const id = await bed.pendingTask('me');
    expect(await ack([id, text])).toBe(1);
    expect(await bed.admin.hgetall(record)).toEqual(before);
  });

  it('leave a record alone that other software has written', async () => {
    await bed.admin.hset(record, 'total', 'many');
    await ack([await bed.pendingTask('me'), `${JOIN}/0`]);
    await bed.admin.del(record);
    await bed.admin.set(record, 'x');
    await ack([await bed.pendingTask('me'), `${JOIN}/0`]);
    expect(await bed.admin.get(record)).toBe('x');
    expect(await bed.pending()).toEqual({});
  });

  it('keep the bits of 48 members in one field, and count each', async () => {
    await bed.admin.hset(record, { total: 200, sent: 200, target: TARGET, payload: '1', meta: '' });
    for (const at of [0, 47, 48, 95, 96, 199, 47, 0]) {
      await ack([await bed.pendingTask('me'), `${JOIN}/${at}`]);
    }
    expect(await counts()).toEqual(['6', '0', '0']);
    expect(await bed.admin.hget(record, '0')).toBe(String(2 ** 47 + 1));
  });

  it('find the join of a delayed task in its frame, and of one without a frame none', async () => {
    await publish(0, 2, { delayMs: 60_000 });
    await bed.admin.hset(keys.bodies, 'handle-1', '5:"join');
    for (const handle of ['handle-0', 'handle-1']) {
      expect(await removeDelayedScript.run(bed.link, { keys, args: { handle, side: keys.side } })).toBe(true);
    }
    expect(await counts()).toEqual(['0', '0', '1']);
  });
});

describe('for a user who lacks a right', () => {
  itAsDefaultUser.each(['xadd', 'hset', 'pexpire'])('nothing is published without %s', async (command) => {
    await withoutRight(bed.admin, command, () => expect(publish(0, 3)).rejects.toThrow(command.toUpperCase()));
    expect(await bed.admin.exists(record)).toBe(0);
    expect(await bed.entries(keys.stream)).toEqual([]);
  });

  itAsDefaultUser.each(['xack', 'xdel', 'xadd', 'hset', 'unlink'])('nothing is settled without %s', async (command) => {
    const { ids = [] } = await publish(0, 3);
    await read();
    const members = ids.map((id, at) => [id, `${JOIN}/${at}`] as const);
    await withoutRight(bed.admin, command, () => expect(ack(...members)).rejects.toThrow(command.toUpperCase()));
    expect(Object.keys(await bed.pending())).toEqual(ids);
    expect(await counts()).toEqual([null, null, null]);
    expect(await ack(...members)).toBe(3);
    expect(await bed.entries(TARGET)).toHaveLength(1);
  });
});
