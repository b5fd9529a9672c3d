import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  GROUP,
  LONG_MS,
  ME,
  OTHER,
  PACED,
  RELEASED,
  RatedScriptBed,
  gates,
  keys,
  ofRetries,
  rates,
  retries,
  type TakeOver,
} from '../../../../test/model/rated-script-bed.js';
import { until } from '../../../../test/support/until.js';
import type { Taken } from './take.script.js';

const bed = new RatedScriptBed();
const ids = ({ claimed }: Taken): string[] => claimed.map(({ id }) => id);
const a = (count: number): string[] => new Array<string>(count).fill('a');
const settle = (...of: string[]): Promise<number> => bed.admin.xack(keys.stream, GROUP, ...of);
const untilTaken = (over: TakeOver, what = 'there is room'): Promise<Taken> =>
  until(
    async () => {
      const taken = await bed.take(over);
      return taken.claimed.length > 0 && taken;
    },
    { what, everyMs: 1 },
  );

beforeEach(() => bed.declare());

describe('of each key, what may start', () => {
  it('is no more than the limit; the others wait in line, without a delivery, and other keys go on', async () => {
    const all = await bed.publish(['a', 'a', 'a', 'b', '', 'a', 'c', '', '']);
    const taken = await bed.take();
    expect(ids(taken)).toEqual([0, 1, 3, 4, 6, 7, 8].map((i) => all[i]));
    expect(taken).toMatchObject({ takenOver: 0, waits: false, afterMs: 0, lastId: all[8] });
    expect(taken.dueMs).toBeGreaterThan(LONG_MS / 2);
    expect(taken.dueMs).toBeLessThanOrEqual(LONG_MS + 12);
    expect(await bed.lines()).toEqual({ a: [all[2], all[5]] });
    expect((await bed.pending())[all[2]!]).toEqual([PACED, 0]);
    expect(await bed.due()).toEqual(['a']);
    // Settled or not: the start was. Another process gets nothing of this key either.
    await settle(...ids(taken));
    const [a4, d] = await bed.publish(['a', 'd']);
    expect(ids(await bed.take({ consumer: OTHER }))).toEqual([d]);
    expect((await bed.lines())['a']).toEqual([all[2], all[5], a4]);
  });

  it('has room again when the window is over, which is longer by the grace, and comes in order', async () => {
    const all = await bed.publish(a(5));
    const window = { perMs: 100, graceMs: 150, usualMs: 150 };
    const before = await bed.serverMs();
    await bed.take(window);
    for (const [i, from] of [2, 4].entries()) {
      const taken = await untilTaken(window);
      expect((await bed.serverMs()) - before).toBeGreaterThanOrEqual(250 * (i + 1));
      expect(ids(taken)).toEqual(all.slice(from, from + 2));
      expect(taken.claimed.every(({ deliveries }) => deliveries === 1)).toBe(true);
      expect(taken.takenOver).toBe(0);
    }
    expect(await bed.admin.exists(rates.rateLine, rates.rateDue)).toBe(0);
  });

  it.each([
    ['rings', 64],
    ['slots', 90],
  ])('is counted in %s', async (_, limit) => {
    await bed.publish(a(limit + 5));
    await bed.publish(new Array<string>(limit + 5).fill('b'));
    let taken = 0;
    for (let i = 0; i < 12; i++) taken += (await bed.take({ limit, capacity: 40, readMost: 40 })).claimed.length;
    expect(taken).toBe(2 * limit);
  });

  it('reads on behind what has to wait, and says when there is more than it looks at', async () => {
    await bed.publish(a(30));
    const [b] = await bed.publish(['b']);
    const taken = await bed.take({ capacity: 3, readMost: 3 });
    expect(ids(taken)).toContain(b);
    expect(taken).toMatchObject({ claimed: [{}, {}, {}] });
    const pipeline = bed.admin.pipeline();
    for (let i = 0; i < 1_100; i++) pipeline.xadd(keys.stream, '*', 'payload', '{"of":"a"}');
    await pipeline.exec();
    expect(await bed.take()).toMatchObject({ claimed: [], waits: true });
    expect(await bed.take()).toMatchObject({ claimed: [], waits: false });
    expect(await bed.admin.zcard(rates.rateLine)).toBe(28 + 1_100);
  });

  it('is what waits in line first, also when there is room for what is new', async () => {
    const all = await bed.publish(a(3));
    expect(ids(await bed.take({ limit: 1 }))).toEqual([all[0]]);
    const [last] = await bed.publish(['a']);
    // A deploy has raised the limit. The instant at which somebody comes was that of the old one.
    const taken = await bed.take({ limit: 3 });
    expect(taken).toMatchObject({ claimed: [], waits: true, dueMs: 0 });
    expect(ids(await bed.take({ limit: 3 }))).toEqual([all[1], all[2]]);
    expect(await bed.lines()).toEqual({ a: [last] });
  });

  it('needs room with the caller and in the fleet, in which no waiting task counts', async () => {
    const window = { limit: 1, perMs: 1, graceMs: 0, usualMs: 0 };
    const [a0, a1, a2, b0] = await bed.publish(['a', 'a', 'a', 'b']);
    expect(ids(await bed.take({ limit: 1, fleet: 2 }))).toEqual([a0, b0]);
    await bed.lapse();
    await bed.makeDue('a');
    expect(await bed.take({ ...window, fleet: 2 })).toMatchObject({ claimed: [], waits: true, isFull: true, dueMs: 0 });
    expect(ids(await bed.take({ limit: 5, fleet: 3 }))).toEqual([a1]);
    expect(await bed.lines()).toEqual({ a: [a2] });
    expect(ids(await bed.take({ limit: 5 }))).toEqual([a2]);
  });

  it('takes keys as they are: long ones, with a NUL, and those that begin with another one', async () => {
    const odd = ['a', 'a\0', 'ab', 'x'.repeat(300), `${'x'.repeat(300)}y`, 'ä €'];
    const all = await bed.publish([...odd, ...odd]);
    expect(ids(await bed.take({ limit: 1 }))).toEqual(all.slice(0, odd.length));
    await bed.lapse();
    for (const key of await bed.due()) await bed.makeDue(key);
    expect(new Set(ids(await bed.take({ limit: 5 })))).toEqual(new Set(all.slice(odd.length)));
    expect(await bed.lines()).toEqual({});
  });

  it('goes by what the payload has there: a text or a whole number, at any depth', async () => {
    const payloads = ['{"of":{"id":"7"}}', '{"of":{"id":7}}', '{"of":{"id":7.5}}', '{"of":{"id":null}}', '[]', 'x'];
    for (const payload of payloads) await bed.admin.xadd(keys.stream, '*', 'payload', payload);
    const { claimed } = await bed.take({ limit: 1, ratePath: 'of.id' });
    expect(claimed.map(({ fields }) => fields[1])).toEqual(payloads.filter((_, i) => i !== 1));
    expect(Object.keys(await bed.lines())).toEqual(['7']);
  });
});

describe('what a worker had', () => {
  it('is charged anew when it is taken over or was returned, and keeps its deliveries in line', async () => {
    const all = await bed.publish(a(4));
    await bed.take({ consumer: OTHER, limit: 3 });
    await bed.lease(OTHER, -1_000);
    const taken = await bed.take({ limit: 4 });
    expect(taken).toMatchObject({ takenOver: 0, claimed: [{ id: all[0], deliveries: 2 }] });
    expect(await bed.lines()).toEqual({ a: [all[1], all[2], all[3]] });
    expect(await bed.pending()).toMatchObject({ [all[1]!]: [PACED, 1], [all[3]!]: [PACED, 0] });
    expect(await bed.consumers()).not.toContain(OTHER);
    await bed.lapse();
    await bed.makeDue('a');
    const opened = await bed.take();
    expect(opened.claimed.map(({ id, deliveries }) => [id, deliveries])).toEqual([
      [all[1], 2],
      [all[2], 2],
    ]);
    expect(opened.takenOver).toBe(0);
  });

  it('needs a place of its key as well, where keys have places', async () => {
    const all = await bed.publish(a(3));
    await bed.take({ consumer: OTHER, limit: 5 });
    await bed.lease(OTHER, -1_000);
    expect(ids(await bed.take({ limit: 5, places: 1 }))).toEqual([all[0]]);
    expect(await bed.lines(gates.line)).toEqual({ a: [all[1], all[2]] });
  });

  it('tells the other processes that somebody has to come, when it goes into a line that was empty', async () => {
    const heard: string[] = [];
    const ear = bed.admin.duplicate();
    await ear.subscribe(':~inbox:0:me');
    ear.on('message', (_, message: string) => heard.push(message));
    await bed.publish(a(2));
    await bed.take({ consumer: OTHER });
    expect(heard).toEqual([]);
    await bed.lease(OTHER, -1_000);
    await bed.take();
    await until(() => heard.length === 1, { what: 'one message' });
    expect(heard[0]).toContain(keys.stream);
    ear.disconnect();
  });

  it('runs alone from its third delivery on, also from the line, and does not hold up other keys', async () => {
    const [a0, a1, b0, c0] = await bed.publish(['a', 'a', 'b', 'c']);
    await bed.take({ consumer: OTHER });
    for (const id of [a0!, b0!]) {
      await bed.admin.call('XCLAIM', keys.stream, GROUP, OTHER, 0, id, 'RETRYCOUNT', 2, 'JUSTID');
    }
    await bed.lease(OTHER, -1_000);
    // All of them go into their lines.
    expect(await bed.take({ limit: 1, perMs: LONG_MS })).toMatchObject({ claimed: [] });
    await bed.lapse();
    for (const [i, key] of ['a', 'b', 'c'].entries()) await bed.makeDue(key, i + 1);
    const alone = await bed.take({ alone: 1 });
    expect(ids(alone)).toEqual([c0]);
    expect(alone).toMatchObject({ waits: false, dueMs: undefined });
    expect(await bed.lines()).toEqual({ a: [a0, a1], b: [b0] });
    // One of the two with three deliveries.
    const first = await bed.take();
    expect(first.claimed.map(({ id, deliveries }) => [id, deliveries])).toEqual([
      [a0, 3],
      [a1, 2],
    ]);
    expect(ids(await bed.take())).toEqual([b0]);
  });

  it('stays in line when it is looked at again in the same call, and cannot run then', async () => {
    const [a0, b0, a1, a2] = await bed.publish(['a', 'b', 'a', 'a']);
    await bed.take({ consumer: OTHER, limit: 1 });
    for (const id of [a0!, b0!]) {
      await bed.admin.call('XCLAIM', keys.stream, GROUP, OTHER, 0, id, 'RETRYCOUNT', 2, 'JUSTID');
    }
    await bed.lease(OTHER, -1_000);
    await bed.lapse();
    await bed.makeDue('a');
    // The others of its key wait, so it goes into the line. Then it would be its turn, but the other one runs alone here.
    expect(ids(await bed.take())).toEqual([b0]);
    expect(await bed.lines()).toEqual({ a: [a0, a1, a2] });
    const next = await bed.take();
    expect(next.claimed.map(({ id, deliveries }) => [id, deliveries])).toEqual([
      [a0, 3],
      [a1, 1],
    ]);
  });

  it('is a dead letter in line when it was delivered too often, and is dropped when it is cancelled', async () => {
    const [a0, a1, a2] = await bed.publish(a(3));
    await bed.take({ limit: 1 });
    await bed.admin.call('XCLAIM', keys.stream, GROUP, PACED, 0, a1!, 'RETRYCOUNT', 5, 'JUSTID');
    await bed.admin.zadd(keys.cancelled, 1, `${a2} ${GROUP}`);
    await bed.makeDue('a');
    await bed.lapse();
    expect(await bed.take()).toMatchObject({ claimed: [], deadLetters: [a1], cancelled: [a2] });
    expect(await bed.owned()).toEqual({ [ME]: [a0] });
    expect(await bed.admin.exists(rates.rateLine, rates.rateDue, rates.rates)).toBe(0);
  });
});

describe('the line', () => {
  it("of the group's own retries is another one, and the windows are the same", async () => {
    await bed.admin.xgroup('CREATE', retries.stream, GROUP, '0', 'MKSTREAM');
    const [, , a2] = await bed.publish(a(3));
    const [r0] = await bed.publish(a(1), { own: true });
    await bed.take();
    expect(await bed.take({ own: true })).toMatchObject({ claimed: [] });
    expect(await bed.lines()).toEqual({ a: [a2] });
    expect(await bed.lines(ofRetries.rateLine)).toEqual({ a: [`${r0}r`] });
    await bed.lapse();
    for (const due of [rates.rateDue, ofRetries.rateDue]) await bed.admin.zadd(due, 1, 'a');
    expect(ids(await bed.take({ own: true, limit: 1 }))).toEqual([r0]);
    expect(await bed.take({ limit: 1 })).toMatchObject({ claimed: [], waits: false });
    expect(await bed.due()).toEqual(['a']);
  });

  it('has places of entries that are gone, which are dropped when it is their turn', async () => {
    const all = await bed.publish(a(1_200));
    await bed.take({ limit: 1 });
    await bed.take({ limit: 1 });
    await settle(...all.slice(1, 1_199));
    await bed.admin.xdel(keys.stream, ...all.slice(1, 1_199));
    await bed.lapse();
    await bed.makeDue('a');
    // No more than a thousand at a time.
    expect(await bed.take({ limit: 5 })).toMatchObject({ claimed: [], waits: true, dueMs: 0 });
    expect(await bed.admin.zcard(rates.rateLine)).toBeGreaterThan(150);
    expect(ids(await bed.take({ limit: 5 }))).toEqual([all[1_199]]);
    expect(await bed.admin.exists(rates.rateLine, rates.rateDue)).toBe(0);
  });

  it('gives its entries to those whose key is at another path by now', async () => {
    const fields = (n: number): string[] => ['payload', JSON.stringify({ of: 'a', to: `b${n % 2}` })];
    const all: string[] = [];
    for (let n = 0; n < 5; n++) all.push((await bed.admin.xadd(keys.stream, '*', ...fields(n)))!);
    await bed.take({ limit: 1 });
    await bed.makeDue('a');
    await bed.lapse();
    const taken = await bed.take({ limit: 1, ratePath: 'to' });
    expect(ids(taken)).toEqual([all[1], all[2]]);
    expect(await bed.lines()).toEqual({ b1: [all[3]], b0: [all[4]] });
    expect((await bed.due()).sort()).toEqual(['b0', 'b1']);
  });

  it('is taken over by processes without a rate of keys', async () => {
    const [, a1] = await bed.publish(a(2));
    await bed.take({ limit: 1 });
    const { reapScript } = await import('./reap.script.js');
    const now = await bed.serverMs();
    const { claimed } = await reapScript.run(bed.link, {
      keys: { ...keys, failedTo: keys.dead, history: keys.dead },
      args: {
        ...{ group: GROUP, consumer: ME, leaseMs: 1, sinceMs: now - 10, endsMs: now + 10_000, capacity: 10 },
        ...{ maxDeliveries: 5, alone: 0, foreignIdleMs: 0, released: RELEASED, prefix: 'sluice:', publishes: '' },
        ...{ side: keys.side, inboxes: ':~inbox:0:', keep: 0, level: '-' },
      },
    });
    expect(claimed).toMatchObject([{ id: a1, deliveries: 1 }]);
  });

  it('and a place of a key are two things: who has a place keeps it while it waits for the rate', async () => {
    const all = await bed.publish(a(4));
    expect(ids(await bed.take({ places: 2, limit: 1 }))).toEqual([all[0]]);
    expect(await bed.lines()).toEqual({ a: [all[1]] });
    expect(await bed.lines(gates.line)).toEqual({ a: [all[2], all[3]] });
    expect((await bed.admin.hget(gates.gates, 'a'))?.split('\0')).toEqual([all[0], all[1]]);
    await bed.lapse();
    await bed.makeDue('a');
    expect(ids(await bed.take({ places: 2 }))).toEqual([all[1]]);
  });
});
