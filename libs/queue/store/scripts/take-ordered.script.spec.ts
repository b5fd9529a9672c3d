import { describe, expect, it } from '@jest/globals';
import {
  GROUP,
  KeyedScriptBed,
  ME,
  OTHER,
  PARKED,
  RELEASED,
  gates,
  keys,
} from '../../../../test/model/keyed-script-bed.js';

const bed = new KeyedScriptBed();
const ids = (entries: readonly { id: string }[]): string[] => entries.map(({ id }) => id);

describe('taking from an ordered queue', () => {
  it('gives one task of each key, and parks the others in the order of the stream', async () => {
    await bed.declare();
    const [a0, b0, a1, none, a2, b1] = await bed.publish(['a', 'b', 'a', '', 'a', 'b']);
    const taken = await bed.take();
    expect(ids(taken.claimed)).toEqual([a0, b0, none]);
    expect(taken).toMatchObject({ takenOver: 0, waits: false, lastId: b1 });
    expect(await bed.holders()).toEqual({ a: a0, b: b0 });
    expect(await bed.lines()).toEqual({ a: [a1, a2], b: [b1] });
    expect(await bed.owned()).toEqual({ [ME]: [a0, b0, none], [PARKED]: [a1, a2, b1] });
    expect((await bed.pending())[a1!]).toEqual([PARKED, 0]);
    // Another process gets nothing of these keys, and takes over nothing that is parked.
    const [a3] = await bed.publish(['a']);
    expect(await bed.take({ consumer: OTHER })).toMatchObject({ claimed: [], waits: false });
    expect((await bed.lines())['a']).toEqual([a1, a2, a3]);
  });

  it('reads on behind what has to wait, and says when there is more than it looks at', async () => {
    await bed.declare();
    await bed.publish(new Array<string>(30).fill('a'));
    const [b] = await bed.publish(['b']);
    const taken = await bed.take({ capacity: 2, readMost: 2 });
    expect(ids(taken.claimed)).toContain(b);
    expect(taken).toMatchObject({ claimed: [{}, {}], waits: false });
    const pipeline = bed.admin.pipeline();
    for (let i = 0; i < 1_100; i++) pipeline.xadd(keys.stream, '*', 'payload', '1', 'ordering_key', 'a');
    await pipeline.exec();
    expect(await bed.take({ readMost: 100 })).toMatchObject({ claimed: [], waits: true });
    expect(await bed.take({ readMost: 100 })).toMatchObject({ claimed: [], waits: false });
    expect(await bed.admin.zcard(gates.line)).toBe(29 + 1_100);
  });

  it('counts no parked task for the fleet, and needs a place for each that may run', async () => {
    await bed.declare();
    await bed.publish(['a', 'a', 'a', 'b', 'c']);
    expect((await bed.take({ fleet: 2 })).claimed).toHaveLength(2);
    expect(await bed.take({ fleet: 2 })).toMatchObject({ claimed: [], isFull: true });
    expect((await bed.take({ fleet: 3 })).claimed).toHaveLength(1);
  });

  it('gives a retry its own gate, and parks what was pending before the queue was ordered', async () => {
    await bed.declare();
    const [a0, a1] = await bed.publish(['a', 'a']);
    // Both were read by a process that knew no order, and that is dead.
    await bed.admin.xreadgroup('GROUP', GROUP, OTHER, 'STREAMS', keys.stream, '>');
    const taken = await bed.take();
    expect(ids(taken.claimed)).toEqual([a0]);
    expect(taken.claimed[0]).toMatchObject({ deliveries: 2 });
    expect(await bed.lines()).toEqual({ a: [a1] });
    expect(await bed.fail(taken.claimed[0]!)).toBe('retried');
    const again = await bed.take();
    expect(again.claimed).toHaveLength(1);
    expect(again.claimed[0]!.fields).toContain(JSON.stringify({ id: a0 }));
    expect((await bed.ack(again.claimed, { room: 1 })).opened).toMatchObject([{ id: a1, deliveries: 1 }]);
  });

  it('keeps the gate of a dead process for its task, and passes it on when that is a dead letter', async () => {
    await bed.declare();
    const [a0, a1] = await bed.publish(['a', 'a']);
    await bed.take({ consumer: OTHER });
    await bed.lease(OTHER, -1_000);
    const taken = await bed.take();
    expect(taken).toMatchObject({ claimed: [{ id: a0, deliveries: 2 }], takenOver: 1 });
    await bed.admin.call('XCLAIM', keys.stream, GROUP, OTHER, 0, a0!, 'RETRYCOUNT', 5, 'JUSTID');
    const buried = await bed.take();
    expect(buried).toMatchObject({ deadLetters: [a0], claimed: [], waits: true });
    expect(await bed.owned()).toEqual({ [RELEASED]: [a1] });
    expect((await bed.take()).claimed).toMatchObject([{ id: a1, deliveries: 1 }]);
  });

  it('closes the key of a task that killed its processes, if it is to stop', async () => {
    await bed.declare();
    const [a0] = await bed.publish(['a', 'a']);
    await bed.take({ consumer: OTHER });
    await bed.lease(OTHER, -1_000);
    await bed.admin.call('XCLAIM', keys.stream, GROUP, OTHER, 0, a0!, 'RETRYCOUNT', 5, 'JUSTID');
    expect(await bed.take({ stops: true })).toMatchObject({ deadLetters: [a0], claimed: [] });
    expect(await bed.holders()).toEqual({ a: `!${a0}` });
  });

  it('drops a cancelled task of a dead process, and passes its key on', async () => {
    await bed.declare();
    const [a0, a1] = await bed.publish(['a', 'a']);
    await bed.take({ consumer: OTHER });
    await bed.lease(OTHER, -1_000);
    await bed.admin.zadd(keys.cancelled, 1, `${a0} ${GROUP}`);
    expect(await bed.take()).toMatchObject({ cancelled: [a0], waits: true });
    expect(await bed.holders()).toEqual({ a: a1 });
  });

  it('opens what it has just parked, when the holder of the key is buried behind it', async () => {
    await bed.declare();
    const [b0, a0, a1] = await bed.publish(['b', 'a', 'a']);
    await bed.take();
    const claim = (of: string, id: string, deliveries: number): Promise<unknown> =>
      bed.admin.call('XCLAIM', keys.stream, GROUP, of, 0, id, 'RETRYCOUNT', deliveries, 'JUSTID');
    await claim(`${OTHER}-1`, b0!, 5);
    await claim(`${OTHER}-1`, a1!, 1);
    await claim(`${OTHER}-2`, a0!, 5);
    await bed.admin.del(gates.line);
    const taken = await bed.take();
    expect(taken).toMatchObject({ deadLetters: [b0, a0], claimed: [], waits: true });
    expect(await bed.holders()).toEqual({ a: a1 });
    expect(await bed.owned()).toEqual({ [RELEASED]: [a1] });
  });

  it('reads nothing before the queue is declared as ordered, or before that instant', async () => {
    await bed.publish(['a']);
    await expect(bed.take()).rejects.toThrow('NOORDER');
    await bed.declare((await bed.serverMs()) + 60_000);
    await expect(bed.take()).rejects.toThrow('NOORDER');
    expect(await bed.owned()).toEqual({});
    await bed.declare();
    await bed.admin.set(gates.gates, 'x');
    await expect(bed.take()).rejects.toThrow('WRONGTYPE');
    await bed.admin.del(gates.gates);
    await bed.admin.set(gates.line, 'x');
    await expect(bed.take()).rejects.toThrow('WRONGTYPE');
    expect(await bed.owned()).toEqual({});
  });

  it('takes keys as they are: long ones, with a NUL, and those that begin with another one', async () => {
    await bed.declare();
    const odd = ['a', 'a\0', 'ab', 'x'.repeat(300), `${'x'.repeat(300)}y`, 'ä €'];
    const all = await bed.publish([...odd, ...odd]);
    const { claimed } = await bed.take();
    expect(ids(claimed)).toEqual(all.slice(0, odd.length));
    const { acked, opened } = await bed.ack(claimed, { room: 10 });
    expect(acked).toBe(odd.length);
    expect(ids(opened)).toEqual(all.slice(odd.length));
    expect(await bed.lines()).toEqual({});
    expect(await bed.ack(opened)).toEqual({ acked: odd.length, opened: [] });
    expect(await bed.holders()).toEqual({});
  });

  it('leaves the line of a key to that key, though another one, which nobody waits for, begins alike', async () => {
    await bed.declare();
    const [a, , next] = await bed.publish(['a', 'ab', 'ab']);
    const [first, second] = (await bed.take()).claimed;
    expect(first?.id).toBe(a);
    expect(await bed.ack([first!], { room: 10 })).toEqual({ acked: 1, opened: [] });
    expect((await bed.ack([second!], { room: 10 })).opened).toMatchObject([{ id: next }]);
  });
});
