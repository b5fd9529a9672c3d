import { describe, expect, it } from '@jest/globals';
import {
  GROUP,
  KeyedScriptBed,
  ME,
  OTHER,
  RELEASED,
  gates,
  keys,
  retries,
} from '../../../../test/model/keyed-script-bed.js';
import { task } from '../../../../test/support/queue-script-bed.js';
import { useOrderScript, endOrderScript } from './use-order.script.js';

const bed = new KeyedScriptBed();
const ids = (entries: readonly { id: string }[]): string[] => entries.map(({ id }) => id);
const numbers = (count: number): number[] => [...new Array<number>(count).keys()];

describe('acknowledging in an ordered queue', () => {
  it('opens the next task of each key in the same step: here while there is room, else for everybody', async () => {
    await bed.declare();
    const [a0, b0, a1, b1] = await bed.publish(['a', 'b', 'a', 'b']);
    const { claimed } = await bed.take();
    const { acked, opened } = await bed.ack(claimed, { room: 1 });
    expect(acked).toBe(2);
    expect(opened).toMatchObject([{ id: a1, deliveries: 1 }]);
    expect(await bed.owned()).toEqual({ [ME]: [a1], [RELEASED]: [b1] });
    expect((await bed.pending())[b1!]).toEqual([RELEASED, 0]);
    expect(await bed.holders()).toEqual({ a: a1, b: b1 });
    expect(await bed.admin.xrange(keys.stream, a0!, b0!)).toEqual([]);
    const others = await bed.take({ consumer: OTHER });
    expect(others.claimed).toMatchObject([{ id: b1, deliveries: 1 }]);
    await bed.ack(others.claimed, { consumer: OTHER });
    await bed.ack(opened);
    expect(await bed.holders()).toEqual({});
    expect(await bed.admin.exists(gates.gates, gates.line)).toBe(0);
    expect(await bed.admin.xlen(keys.stream)).toBe(0);
  });

  it('is fenced by owner and delivery: a late success neither ends the task nor opens the next one', async () => {
    await bed.declare();
    const [a0] = await bed.publish(['a', 'a']);
    const { claimed } = await bed.take({ consumer: OTHER });
    await bed.lease(OTHER, -1_000);
    const taken = await bed.take();
    expect(ids(taken.claimed)).toEqual([a0]);
    const before = [await bed.owned(), await bed.holders()];
    expect(await bed.ack(claimed, { consumer: OTHER, room: 5 })).toEqual({ acked: 0, opened: [] });
    // It came back, and is run again: its first run counts no more.
    expect(await bed.ack(claimed, { room: 5 })).toEqual({ acked: 0, opened: [] });
    expect([await bed.owned(), await bed.holders()]).toEqual(before);
    expect((await bed.ack(taken.claimed)).acked).toBe(1);
  });

  it('is fenced by the owner if the delivery is the same: the task was returned, and another process has it', async () => {
    await bed.declare();
    const [a0] = await bed.publish(['a', 'a']);
    const { claimed } = await bed.take({ consumer: OTHER });
    await bed.admin.call('XCLAIM', keys.stream, GROUP, RELEASED, 0, a0!, 'RETRYCOUNT', 0, 'JUSTID');
    const taken = await bed.take();
    expect(taken.claimed).toMatchObject([{ id: a0, deliveries: 1 }]);
    expect(await bed.ack(claimed, { consumer: OTHER, room: 5 })).toEqual({ acked: 0, opened: [] });
    expect(await bed.holders()).toEqual({ a: a0 });
  });

  it('does nothing when it is repeated, and nothing without the stream', async () => {
    await bed.declare();
    const [, a1] = await bed.publish(['a', 'a', 'a']);
    const { claimed } = await bed.take();
    await bed.ack(claimed, { room: 1 });
    expect(await bed.ack(claimed, { room: 1 })).toEqual({ acked: 0, opened: [] });
    expect(await bed.holders()).toEqual({ a: a1 });
    await bed.admin.del(keys.stream);
    expect(await bed.ack(claimed)).toEqual({ acked: 0, opened: [] });
  });

  it('passes over what was deleted, trimmed or acknowledged by others', async () => {
    await bed.declare();
    const all = await bed.publish(new Array<string>(6).fill('a'));
    const { claimed } = await bed.take();
    await bed.admin.xdel(keys.stream, all[1]!);
    await bed.admin.xack(keys.stream, GROUP, all[2]!);
    await bed.admin.xdel(keys.stream, all[0]!, all[3]!);
    const { acked, opened } = await bed.ack(claimed, { room: 3 });
    expect(acked).toBe(1);
    expect(ids(opened)).toEqual([all[4]]);
    expect(await bed.lines()).toEqual({ a: [all[5]] });
  });

  it('does not look at gone entries for ever: the healing goes on', async () => {
    await bed.declare();
    const pipeline = bed.admin.pipeline();
    for (let i = 0; i < 1_105; i++) pipeline.xadd(keys.stream, '*', 'payload', '1', 'ordering_key', 'a');
    const all = (await pipeline.exec())!.map(([, id]) => id as string);
    const { claimed } = await bed.take();
    await bed.take();
    await bed.admin.xdel(keys.stream, ...all.slice(1, -1));
    expect(await bed.ack(claimed, { room: 1 })).toEqual({ acked: 1, opened: [] });
    expect(await bed.holders()).toEqual({ a: '' });
    expect(await bed.heal()).toMatchObject({ opened: 1 });
    expect(await bed.owned()).toEqual({ [RELEASED]: [all.at(-1)] });
  });

  it('finds the tasks of a batch wherever they lie among those that the caller has', async () => {
    await bed.declare();
    await bed.publish(numbers(200).map((i) => `k${i}`));
    const { claimed } = await bed.take({ capacity: 200 });
    expect(Object.keys(await bed.holders())).toHaveLength(200);
    expect(await bed.admin.object('ENCODING', gates.gates)).toBe('hashtable');
    const batch = [claimed[199]!, claimed[0]!, claimed[120]!];
    expect((await bed.ack(batch)).acked).toBe(3);
    expect((await bed.owned())[ME]).toEqual(ids(claimed.filter((each) => !batch.includes(each))));
    expect(await bed.ack(batch)).toEqual({ acked: 0, opened: [] });
  });

  it('opens here no more than some megabytes, and no more than there is room for', async () => {
    await bed.declare();
    const large = '"'.padEnd(2 ** 21, 'x');
    for (const payload of ['1', large]) {
      for (const key of numbers(6)) await bed.admin.xadd(keys.stream, '*', ...task(payload), 'ordering_key', `k${key}`);
    }
    const { claimed } = await bed.take();
    const { opened } = await bed.ack(claimed, { room: 6 });
    expect(opened.length).toBe(3);
    expect((await bed.owned())[RELEASED]).toHaveLength(3);
    await bed.admin.flushall();
    await bed.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
    await bed.declare();
    await bed.publish(['a', 'b', 'c', 'd', 'a', 'b', 'c', 'd']);
    expect((await bed.ack((await bed.take()).claimed, { room: 2 })).opened).toHaveLength(2);
  });

  it('leaves the gate of a task alone that another one holds', async () => {
    await bed.declare();
    const [a0, a1] = await bed.publish(['a', 'a']);
    await bed.lease(ME);
    await bed.admin.xreadgroup('GROUP', GROUP, ME, 'COUNT', 1, 'STREAMS', keys.stream, '>');
    // The first one was read before the queue was ordered, so it holds no gate.
    expect(ids((await bed.take({ consumer: OTHER })).claimed)).toEqual([a1]);
    const rows = await bed.admin.xrange(keys.stream, a0!, a0!);
    expect((await bed.ack([{ id: a0!, deliveries: 1, fields: rows[0]![1] }])).acked).toBe(1);
    expect(await bed.holders()).toEqual({ a: a1 });
  });

  it('is refused before it has written if a key is something else', async () => {
    await bed.declare();
    await bed.publish(['a']);
    const { claimed } = await bed.take();
    await bed.admin.set(gates.line, 'x');
    await expect(bed.ack(claimed)).rejects.toThrow('WRONGTYPE');
    expect((await bed.owned())[ME]).toHaveLength(1);
  });
});

describe('a failure in an ordered queue', () => {
  it('keeps the gate while the task is tried again or put off', async () => {
    await bed.declare();
    const [a0] = await bed.publish(['a', 'a', 'a']);
    const [first] = (await bed.take()).claimed;
    expect(await bed.fail(first!, { delayMs: 60_000 })).toBe('delayed');
    expect(await bed.holders()).toEqual({ a: a0 });
    expect((await bed.take()).claimed).toEqual([]);
  });

  it('opens the next task after a dead letter, or closes the key', async () => {
    await bed.declare();
    const [a0, b0, a1] = await bed.publish(['a', 'b', 'a', 'b']);
    const [a, b] = (await bed.take()).claimed;
    expect(await bed.fail(a!, { dead: true })).toBe('dead');
    expect(await bed.fail(b!, { dead: true, stops: true })).toBe('dead');
    expect(await bed.holders()).toEqual({ a: a1, b: `!${b0}` });
    expect((await bed.owned())[RELEASED]).toEqual([a1]);
    expect(a!.id).toBe(a0);
    // The dead letter comes back: it runs before the others of its key.
    await bed.admin.xadd(keys.stream, '*', 'payload', '1', 'meta', JSON.stringify({ id: b0 }), 'ordering_key', 'b');
    const { claimed } = await bed.take();
    expect(claimed).toHaveLength(2);
    expect(await bed.holders()).toEqual({ a: a1, b: b0 });
  });

  it('opens the next task if the entry was deleted, or the task is cancelled', async () => {
    await bed.declare();
    const [a0, b0, a1, b1] = await bed.publish(['a', 'b', 'a', 'b']);
    const [a, b] = (await bed.take()).claimed;
    await bed.admin.xdel(keys.stream, a0!);
    await bed.admin.zadd(keys.cancelled, 1, `${b0} ${GROUP}`);
    expect(await bed.fail(a!)).toBe('stale');
    expect(await bed.fail(b!)).toBe('cancelled');
    expect(await bed.holders()).toEqual({ a: a1, b: b1 });
  });

  it('is fenced, and then opens nothing', async () => {
    await bed.declare();
    const [a0] = await bed.publish(['a', 'a']);
    const { claimed } = await bed.take({ consumer: OTHER });
    await bed.lease(OTHER, -1_000);
    await bed.take();
    expect(await bed.fail(claimed[0]!, { consumer: OTHER, dead: true })).toBe('fenced');
    expect(await bed.holders()).toEqual({ a: a0 });
  });

  it('keeps the key of a task that has more fields than a step can carry', async () => {
    await bed.declare();
    const more = numbers(3_600).flatMap((i) => [`f${i}`, '1']);
    await bed.admin.xadd(keys.stream, '*', 'payload', '1', 'ordering_key', 'a', ...more);
    const [first] = (await bed.take()).claimed;
    expect(await bed.fail(first!)).toBe('retried');
    const [again] = (await bed.take()).claimed;
    expect(again!.fields.slice(-4)).toEqual(['fields_dropped', '3601', 'ordering_key', 'a']);
  });
});

describe("the group's own retries, beside other groups", () => {
  it('share the gates of the queue', async () => {
    await bed.declare();
    await bed.admin.xgroup('CREATE', keys.stream, 'others', '0');
    await bed.admin.xgroup('CREATE', retries.stream, GROUP, '0', 'MKSTREAM');
    const [a0, a1] = await bed.publish(['a', 'a']);
    const [first] = (await bed.take()).claimed;
    expect(await bed.fail(first!)).toBe('retried');
    expect((await bed.take()).claimed).toEqual([]);
    const own = (await bed.take({ own: true })).claimed;
    expect(own).toHaveLength(1);
    // A dead letter came back there: it waits for its key, behind those of the queue that are older.
    const [a2] = await bed.publish(['a'], { own: true });
    expect((await bed.take({ own: true })).claimed).toEqual([]);
    expect(await bed.lines()).toEqual({ a: [a1, `${a2}r`] });
    expect(await bed.ack(own, { own: true, room: 5 })).toEqual({ acked: 1, opened: [] });
    expect(await bed.holders()).toEqual({ a: a1 });
    const second = (await bed.take()).claimed;
    expect(ids(second)).toEqual([a1]);
    expect((await bed.ack(second, { room: 5 })).opened).toEqual([]);
    expect(await bed.owned(retries.stream)).toEqual({ [RELEASED]: [a2] });
    expect(a0).not.toBe(a2);
  });
});

describe('the name of the feature', () => {
  it('is written once, with the instant at which the last lease ends', async () => {
    await bed.lease('sluice:old', 30_000);
    const run = (): Promise<number> =>
      useOrderScript.run(bed.link, { keys, args: { feature: 'order', release: '0.1.0' } });
    const waitMs = await run();
    expect(waitMs).toBeGreaterThan(20_000);
    expect(waitMs).toBeLessThanOrEqual(30_000);
    const value = await bed.admin.hget(keys.uses, 'order');
    await bed.lease('sluice:old', 90_000);
    expect(await run()).toBeLessThanOrEqual(waitMs);
    expect(await bed.admin.hget(keys.uses, 'order')).toBe(value);
    await bed.admin.del(keys.uses, keys.alive);
    expect(await run()).toBe(0);
  });

  it('is deleted when nothing of the order is left, and nobody works on the queue', async () => {
    const end = (): Promise<boolean> => endOrderScript.run(bed.link, { keys, args: { side: keys.side } });
    await bed.declare();
    await bed.publish(['a', 'a']);
    const { claimed } = await bed.take();
    await bed.admin.del(keys.alive);
    expect(await end()).toBe(false);
    await bed.ack((await bed.ack(claimed, { room: 1 })).opened);
    await bed.lease(OTHER);
    expect(await end()).toBe(false);
    await bed.admin.del(keys.alive);
    expect(await end()).toBe(true);
    expect(await bed.admin.exists(keys.uses)).toBe(0);
  });
});
