import { beforeEach, describe, expect, it } from '@jest/globals';
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
const at = (all: readonly string[], ...of: number[]): string[] => of.map((i) => all[i]!);
const holdersOf = async (key: string): Promise<string[]> => ((await bed.holders())[key] ?? '').split('\0');
beforeEach(async () => {
  bed.places = 2;
  bed.keyPath = 'of';
  await bed.declare();
});

describe('so many tasks of a key at a time', () => {
  it('are given, and the others are parked in their order', async () => {
    const all = await bed.publish(['a', 'a', 'a', 'b', 'a', 'b']);
    const { claimed } = await bed.take();
    expect(ids(claimed)).toEqual(at(all, 0, 1, 3, 5));
    expect(await bed.lines()).toEqual({ a: at(all, 2, 4) });
    expect(await holdersOf('a')).toEqual(at(all, 0, 1));
    expect((await bed.take({ consumer: OTHER })).claimed).toEqual([]);
    const { opened } = await bed.ack(claimed.slice(1, 2), { room: 5 });
    expect(ids(opened)).toEqual(at(all, 2));
    expect(await holdersOf('a')).toEqual(at(all, 0, 2));
    const last = await bed.ack([claimed[0]!, ...opened], { room: 5 });
    expect(ids(last.opened)).toEqual(at(all, 4));
    await bed.ack([...last.opened, ...claimed.slice(2)]);
    expect(await bed.admin.exists(gates.gates, gates.line)).toBe(0);
  });

  it('go by what the payload has there: a text or a whole number, at any depth', async () => {
    bed.places = 1;
    bed.keyPath = 'of.id';
    const payloads = [
      '{"of":{"id":"7"}}',
      '{"of":{"id":7}}',
      '{"of":{"id":7.5}}',
      '{"of":{"id":null}}',
      '{"of":"x"}',
      '[]',
      'x',
    ];
    for (const payload of payloads) await bed.admin.xadd(keys.stream, '*', 'payload', payload, 'ordering_key', 'a');
    const { claimed } = await bed.take();
    expect(claimed.map(({ fields }) => fields[1])).toEqual(payloads.filter((_, i) => i !== 1));
    expect(Object.keys(await bed.holders())).toEqual(['7']);
  });

  it('do not count a task that is tried again or put off', async () => {
    const all = await bed.publish(['a', 'a', 'a', 'a']);
    const [first, second] = (await bed.take()).claimed;
    expect(await bed.fail(first!)).toBe('retried');
    expect(await bed.fail(second!, { delayMs: 60_000 })).toBe('delayed');
    expect(await holdersOf('a')).toEqual(at(all, 2, 3));
    expect((await bed.owned())[RELEASED]).toEqual(at(all, 2, 3));
    const { claimed } = await bed.take();
    expect(ids(claimed)).toEqual(at(all, 2, 3));
    // The retry waits for a place.
    expect((await bed.owned())[PARKED]).toHaveLength(1);
    expect(Object.keys(await bed.lines())).toEqual(['a']);
  });

  it('keep the place of a dead process, until its task is taken over', async () => {
    const all = await bed.publish(['a', 'a', 'a']);
    await bed.take({ consumer: OTHER, capacity: 2, readMost: 2 });
    await bed.lease(OTHER, -1_000);
    const { claimed, takenOver } = await bed.take();
    expect(takenOver).toBe(2);
    expect(ids(claimed)).toEqual(at(all, 0, 1));
    expect(await bed.lines()).toEqual({ a: at(all, 2) });
  });

  it('are opened up to the new number when it has grown, and not beyond a smaller one', async () => {
    const all = await bed.publish(new Array<string>(7).fill('a'));
    const { claimed } = await bed.take();
    bed.places = 4;
    expect(await bed.heal()).toMatchObject({ opened: 1 });
    expect(await holdersOf('a')).toEqual(at(all, 0, 1, 2, 3));
    bed.places = 1;
    expect((await bed.ack(claimed, { room: 5 })).opened).toEqual([]);
    expect(await holdersOf('a')).toEqual(at(all, 2, 3));
  });

  it('are healed one by one', async () => {
    const all = await bed.publish(['a', 'a', 'a', 'a']);
    const { claimed } = await bed.take();
    // The one that stays is noted before the one that is gone.
    await bed.admin.xack(keys.stream, GROUP, claimed[1]!.id);
    expect(await bed.heal()).toMatchObject({ opened: 1 });
    expect(await holdersOf('a')).toEqual(at(all, 0, 2));
    await bed.admin.del(gates.line);
    expect(await bed.heal()).toMatchObject({ lined: 1, opened: 0 });
    await bed.admin.del(gates.gates);
    await bed.heal();
    expect(await bed.owned()).toEqual({ [ME]: at(all, 0), [RELEASED]: at(all, 2, 3) });
  });
});
