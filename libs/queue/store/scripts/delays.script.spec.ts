import { describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { commandDelta } from '../../../../test/support/command-delta.js';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { until } from '../../../../test/support/until.js';
import { Keyspace, frame, unframe } from '../../../redis/index.js';
import { CONSUMER_PREFIX, consumerName, queueKeys, retryKeys } from '../queue.keys.js';
import { delayScript } from './delay.script.js';
import { promoteScript, type Promoted } from './promote.script.js';
import { runNowScript } from './run-now.script.js';
import { settleFailureScript, type Settlement } from './settle-failure.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const INBOXES = ':~inbox:0:';
const keys = queueKeys(new Keyspace(), 'tasks');
/** The keys of the group's own retries. */
const own = retryKeys(new Keyspace(), 'tasks', GROUP);
const bed = new QueueScriptBed(keys.stream);
const { pendingTask, pending, entries, serverMs } = bed;

const promote = (limit = 100): Promise<Promoted> =>
  promoteScript.run(bed.link, { keys, args: { limit, unworked: 0, side: keys.side } });

const publishDelayed = (handles: string[], delayMs: number): Promise<number> =>
  delayScript.run(bed.link, {
    keys,
    args: { delayMs, runAtMs: -1, inboxes: INBOXES, timestamp: '1700000000' },
    rest: handles.flatMap((handle) => [handle, `"${handle}"`, `{"id":"${handle}"}`]),
  });

async function settle(
  id: string,
  over: { delayMs?: number; handle?: string; attempts?: string } = {},
): Promise<Settlement> {
  const { as } = await settleFailureScript.run(bed.link, {
    keys: {
      history: keys.dead,
      ...keys,
      failedTo: keys.dead,
      retry: own.stream,
      retryDelayed: own.delayed,
      retryBodies: own.bodies,
      retryIndex: own.index,
    },
    args: {
      run: '',
      ...{ group: GROUP, consumer: ME, id, deliveries: 1, attempts: '1', meta: '{"id":"t"}', isDead: 0, reason: '' },
      ...{
        delayMs: 60_000,
        handle: 't',
        failure: 'e',
        stack: '',
        inboxes: INBOXES,
        publishes: '',
        side: keys.side,
        isJson: 1,
        ...over,
      },
    },
  });
  return as;
}

/** What is delayed: handle → fields of the entry that it will be. */
async function delayed(): Promise<Record<string, string[]>> {
  const bodies = await bed.admin.hgetallBuffer(keys.bodies);
  const handles = await bed.admin.zrange(keys.delayed, '0', '-1');
  expect(Object.keys(bodies).sort()).toEqual(handles.sort());
  return Object.fromEntries(Object.entries(bodies).map(([name, body]) => [name, unframe(body)!]));
}

/** As if the time of all that is delayed had come, in the order of their handles' positions. */
async function makeDue(...handles: string[]): Promise<void> {
  const now = await serverMs();
  for (const [i, handle] of handles.entries()) await bed.admin.zadd(keys.delayed, now - 1_000 + i, handle);
}

describe('delay', () => {
  it('puts tasks and their due time, on the server clock, in one step', async () => {
    const before = await serverMs();
    expect(await publishDelayed(['a', 'b'], 60_000)).toBe(2);
    const after = await serverMs();
    expect(await delayed()).toEqual({
      a: ['"a"', '1700000000', '0', '{"id":"a"}'],
      b: ['"b"', '1700000000', '0', '{"id":"b"}'],
    });
    const due = Number(await bed.admin.zscore(keys.delayed, 'a'));
    expect(due).toBeGreaterThanOrEqual(before + 60_000);
    expect(due).toBeLessThanOrEqual(after + 60_000);
    expect(await bed.admin.xlen(keys.stream)).toBe(0);
  });

  it('changes nothing the second time', async () => {
    await publishDelayed(['a'], 60_000);
    const due = await bed.admin.zscore(keys.delayed, 'a');
    expect(await publishDelayed(['a'], 1_000)).toBe(0);
    expect(await bed.admin.zscore(keys.delayed, 'a')).toBe(due);
    expect(Object.keys(await delayed())).toEqual(['a']);
  });

  it('is refused as a whole by a server that is full, and by keys of another type', async () => {
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      await expect(publishDelayed(['a'], 1_000)).rejects.toThrow('OOM');
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    await bed.admin.set(keys.bodies, 'no hash');
    await expect(publishDelayed(['a'], 1_000)).rejects.toThrow('WRONGTYPE');
    expect(await bed.admin.exists(keys.delayed)).toBe(0);
  });

  it('tells the three that were heard of last, if it is the first to be due', async () => {
    const ids = ['i1', 'i2', 'i3', 'i4'];
    const heard: string[] = [];
    const listener = bed.admin.duplicate();
    listener.on('messageBuffer', (channel: Buffer, message: Buffer) => {
      heard.push(`${channel.toString()} ${message.toString()}`);
    });
    await listener.subscribe(...ids.map((id) => INBOXES + id));
    for (const [i, id] of ids.entries()) await bed.admin.zadd(keys.alive, i + 1, consumerName(id));
    await publishDelayed(['first'], 5_000);
    await publishDelayed(['later'], 9_000);
    await publishDelayed(['earlier'], 1_000);
    const message = (ms: string): string => frame('queue:due', 'tasks', ms).toString();
    await until(() => heard.length === 6, { what: 'six messages came' });
    expect(heard.sort()).toEqual(
      ['1000', '5000'].flatMap((ms) => ['i2', 'i3', 'i4'].map((id) => `${INBOXES}${id} ${message(ms)}`)).sort(),
    );
    listener.disconnect();
  });
});

describe('a promotion', () => {
  it('moves some megabytes at a time, and comes again at once for the rest', async () => {
    const handles = ['a', 'b', 'c', 'd', 'e', 'f'];
    await delayScript.run(bed.link, {
      keys,
      args: { delayMs: 0, runAtMs: 0, inboxes: INBOXES, timestamp: '1700000000' },
      rest: handles.flatMap((handle) => [handle, 'x'.repeat(2 ** 20), `{"id":"${handle}"}`]),
    });
    expect(await promote()).toMatchObject({ count: 4, nextMs: 0, broken: [] });
    expect(await promote()).toMatchObject({ count: 2, nextMs: undefined, broken: [] });
    expect((await entries(keys.stream)).map(({ meta }) => meta)).toEqual(handles.map((id) => `{"id":"${id}"}`));
    expect(await bed.admin.exists(keys.delayed, keys.bodies)).toBe(0);
  });
});

describe('a failure that is settled with a delay', () => {
  it('leaves the stream and waits, with all its fields, in one step', async () => {
    const id = await pendingTask(ME, { fields: ['x', '1', ...task('{"n":1}', '0', 'm').slice(0, 6), 'y', ''] });
    expect(await settle(id)).toBe('delayed');
    expect(await pending()).toEqual({});
    expect(await bed.admin.xlen(keys.stream)).toBe(0);
    expect(await delayed()).toEqual({ t: ['{"n":1}', '1700000000', '1', '{"id":"t"}', 'x', '1', 'y', ''] });
    expect(await settle(id)).toBe('stale');
  });

  it('waits among the retries of its group, while the queue has several', async () => {
    await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
    await settle(await pendingTask(ME));
    expect(await bed.admin.exists(keys.delayed, keys.bodies)).toBe(0);
    expect(await bed.admin.zrange(own.delayed, '0', '-1')).toEqual(['t']);
    expect(await bed.admin.hkeys(own.bodies)).toEqual(['t']);
    await bed.admin.zadd(own.delayed, 1, 't');
    expect(
      await promoteScript.run(bed.link, { keys: own, args: { limit: 1, unworked: 0, side: keys.side } }),
    ).toMatchObject({
      count: 1,
    });
    expect(await entries(own.stream)).toEqual([expect.objectContaining({ meta: '{"id":"t"}', retry_count: '1' })]);
  });

  it('does nothing with a task that another consumer has', async () => {
    const id = await pendingTask(`${CONSUMER_PREFIX}other`);
    expect(await settle(id)).toBe('fenced');
    expect(await bed.admin.exists(keys.delayed, keys.bodies)).toBe(0);
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
  });

  it('never replaces another task, though its handle is taken', async () => {
    const ids = [await pendingTask(ME), await pendingTask(ME), await pendingTask(ME)];
    for (const id of ids) await settle(id);
    expect(Object.keys(await delayed()).sort()).toEqual(['t', `t/${ids[1]!}`, `t/${ids[2]!}`].sort());
  });

  itAsUsersSendIt('works on a server that is full', async () => {
    const id = await pendingTask(ME);
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      expect(await settle(id)).toBe('delayed');
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    expect(Object.keys(await delayed())).toEqual(['t']);
  });

  it('keeps a task of more fields than Lua hands to one call, and says how many it lost', async () => {
    const extra = Array.from({ length: 5_000 }, (_, i) => [`field${i}`, 'x']).flat();
    expect(await settle(await pendingTask(ME, { fields: [...task(), ...extra] }))).toBe('delayed');
    expect((await delayed())['t']?.slice(4)).toEqual(['fields_dropped', '5000']);
    expect(await pending()).toEqual({});
  });

  it('keeps a task that it cannot put off', async () => {
    const id = await pendingTask(ME);
    for (const key of [keys.delayed, keys.bodies]) {
      await bed.admin.set(key, 'something else');
      await expect(settle(id)).rejects.toThrow('WRONGTYPE');
      await bed.admin.del(key);
    }
    expect(await pending()).toEqual({ [id]: [ME, 1] });
    expect(await settle(id)).toBe('delayed');
  });
});

describe('promote', () => {
  it('moves what is due, earliest first, as it was put off', async () => {
    const bytes = Buffer.from([0x22, 0xff, 0x00, 0x3a, 0x22]);
    await bed.admin.xadd(keys.stream, '1-0', 'payload', bytes, 'timestamp', '1', 'extra', ':');
    await bed.admin.xreadgroup('GROUP', GROUP, ME, 'STREAMS', keys.stream, '>');
    await settle('1-0', { attempts: '2' });
    await publishDelayed(['later', 'a'], 60_000);
    expect(await promote()).toEqual({ count: 0, nextMs: expect.any(Number), broken: [], isWorkedOn: false });
    await makeDue('t', 'a');
    const { nextMs, ...rest } = await promote();
    expect(rest).toEqual({ count: 2, broken: [], isWorkedOn: false });
    expect(nextMs).toBeGreaterThan(50_000);
    const [[, first], [, second]] = (await bed.admin.xrangeBuffer(keys.stream, '-', '+')) as [
      [Buffer, Buffer[]],
      [Buffer, Buffer[]],
    ];
    expect(first[1]).toEqual(bytes);
    expect(first.map(String).filter((_, i) => i !== 1)).toEqual([
      ...['payload', 'timestamp', '1', 'retry_count', '2', 'meta', '{"id":"t"}', 'extra', ':'],
    ]);
    expect(second.map(String)).toEqual([
      ...['payload', '"a"', 'timestamp', '1700000000', 'retry_count', '0', 'meta', '{"id":"a"}'],
    ]);
    expect(Object.keys(await delayed())).toEqual(['later']);
  });

  it('moves at most `limit` at a time, and each once', async () => {
    const handles = Array.from({ length: 25 }, (_, n) => `h${String(n).padStart(2, '0')}`);
    await publishDelayed(handles, 60_000);
    await makeDue(...handles);
    const { calls } = await commandDelta(bed.admin, () => promote(10));
    expect(calls).toMatchObject({ xadd: 10, zrem: 1, hdel: 1 });
    expect(await promote(10)).toMatchObject({ count: 10, nextMs: 0 });
    expect(await promote(10)).toMatchObject({ count: 5, nextMs: undefined });
    expect(await promote(10)).toEqual({ count: 0, nextMs: undefined, broken: [], isWorkedOn: false });
    expect((await entries(keys.stream)).map(({ payload }) => payload)).toEqual(handles.map((handle) => `"${handle}"`));
    expect(await bed.admin.exists(keys.delayed, keys.bodies)).toBe(0);
  });

  itAsUsersSendIt('works on a server that is full', async () => {
    await publishDelayed(['a'], 60_000);
    await makeDue('a');
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      expect(await promote()).toMatchObject({ count: 1 });
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
  });

  it('keeps what it cannot move', async () => {
    await publishDelayed(['a'], 60_000);
    await makeDue('a');
    await bed.admin.del(keys.stream);
    await bed.admin.set(keys.stream, 'no stream');
    await expect(promote()).rejects.toThrow('WRONGTYPE');
    expect(Object.keys(await delayed())).toEqual(['a']);
  });

  it('makes dead letters of what has no readable body, and moves the others', async () => {
    await publishDelayed(['gone', 'odd', 'cut', 'whole'], 60_000);
    await makeDue('gone', 'odd', 'cut', 'whole');
    await bed.admin.hdel(keys.bodies, 'gone');
    await bed.admin.hset(keys.bodies, 'odd', 'no frame', 'cut', frame('"x"', '1', '0'));
    expect(await promote()).toMatchObject({ count: 1, broken: ['gone', 'odd', 'cut'] });
    expect(await entries(keys.dead)).toEqual([
      expect.objectContaining({ original_id: 'gone', reason: 'bad-body', payload: '' }),
      expect.objectContaining({ original_id: 'odd', reason: 'bad-body', payload: 'no frame' }),
      expect.objectContaining({ original_id: 'cut', reason: 'bad-body', payload: '3:"x"1:11:0' }),
    ]);
    expect(await entries(keys.stream)).toHaveLength(1);
  });

  it.each([
    ['too few', 2],
    ['an odd number of', 5],
    ['more than one command takes of', 7_902],
  ])('makes a dead letter of a body with %s values, and moves the others', async (_, count) => {
    await publishDelayed(['odd', 'whole'], 60_000);
    await makeDue('odd', 'whole');
    await bed.admin.hset(keys.bodies, 'odd', frame(...new Array<string>(count).fill('1')));
    expect(await promote()).toMatchObject({ count: 1, broken: ['odd'] });
    expect(await entries(keys.dead)).toMatchObject([{ original_id: 'odd', reason: 'bad-body' }]);
    expect(await entries(keys.stream)).toMatchObject([{ payload: '"whole"' }]);
  });
});

it('a delayed task that is run now is due, and never later than it was', async () => {
  await publishDelayed(['later'], 3_600_000);
  await publishDelayed(['due'], 1);
  const dueMs = await bed.admin.zscore(keys.delayed, 'due');
  await until(async () => (await serverMs()) > Number(dueMs), { what: 'its time is over' });
  const runNow = (handle: string): Promise<boolean> =>
    runNowScript.run(bed.link, { keys, args: { handle, target: keys.stream, inboxes: INBOXES } });
  expect(await runNow('due')).toBe(true);
  expect(await runNow('later')).toBe(true);
  expect(await runNow('none')).toBe(false);
  expect(await bed.admin.zscore(keys.delayed, 'due')).toBe(dueMs);
  expect(await bed.admin.zcount(keys.delayed, 0, await serverMs())).toBe(2);
});
