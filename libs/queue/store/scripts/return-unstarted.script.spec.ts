import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  GROUP,
  LONG_MS,
  ME,
  OTHER,
  RELEASED,
  RatedScriptBed,
  grace,
  keys,
  rate,
  rates,
  retries,
} from '../../../../test/model/rated-script-bed.js';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { until } from '../../../../test/support/until.js';
import { CONSUMER_PREFIX } from '../queue.keys.js';
import { takeScript, type Taken } from './take.script.js';

const bed = new RatedScriptBed();
const ids = ({ claimed }: Taken): string[] => claimed.map(({ id }) => id);
const a = (count: number): string[] => new Array<string>(count).fill('a');

beforeEach(() => bed.declare());

/** As {@link RatedScriptBed.take}, where the rate is one of all tasks. */
async function takeOfAll(limit: number): Promise<Taken> {
  await bed.lease(ME);
  const now = await bed.serverMs();
  return takeScript.run(bed.link, {
    keys: { ...keys, rate, grace, other: retries.stream, failedTo: keys.dead, history: keys.dead },
    args: {
      ...{ group: GROUP, consumer: ME, leaseMs: 1_000, sinceMs: now - 1_000, endsMs: now + 1_000, capacity: 100 },
      ...{ maxDeliveries: 5, alone: 0, foreignIdleMs: 0, released: RELEASED, prefix: CONSUMER_PREFIX, publishes: '' },
      ...{ side: keys.side, inboxes: ':~inbox:0:', keep: 0, level: '-', fleet: 0, readMost: 100 },
      ...{ limit, perMs: LONG_MS, graceMs: 10, usualMs: 10 },
    },
  });
}

/** So much that a window is not taken for one that was made at the same time. */
async function untilLater(): Promise<void> {
  const before = await bed.serverMs();
  await until(async () => (await bed.serverMs()) > before + 5, { what: 'the clock has gone on', everyMs: 1 });
}

describe('of a key, what did not start', () => {
  it('is returned with its start, and its key is due at once', async () => {
    const [a0, a1, a2, b] = await bed.publish(['a', 'a', 'a', 'b']);
    expect(ids(await bed.take())).toEqual([a0, a1, b]);
    expect(await bed.returnUnstarted([a1!, b!])).toEqual([a1, b]);
    expect(await bed.pending()).toMatchObject({ [a0!]: [ME, 1], [a1!]: [RELEASED, 0], [b!]: [RELEASED, 0] });
    expect(await bed.admin.hkeys(rates.rates)).toEqual(['a']);
    expect(await bed.admin.zrange(rates.rateEnds, '0', '-1')).toEqual(['a']);
    // It goes into the line before the one that waits there, and is given.
    expect(ids(await bed.take()).sort()).toEqual([a1, b]);
    expect(await bed.lines()).toEqual({ a: [a2] });
  });

  it('leaves its start to the next of its key if it is removed', async () => {
    const [, a1, a2] = await bed.publish(a(3));
    await bed.take();
    await bed.returnUnstarted([a1!]);
    await bed.admin.xack(keys.stream, GROUP, a1!);
    await bed.admin.xdel(keys.stream, a1!);
    expect(ids(await bed.take())).toEqual([a2]);
  });

  it('is returned once, and nothing of another process', async () => {
    const [a0] = await bed.publish(a(1));
    await bed.take({ consumer: OTHER, limit: 3 });
    const [a1, a2] = await bed.publish(a(3));
    expect(ids(await bed.take({ limit: 3 }))).toEqual([a1, a2]);
    expect(await bed.returnUnstarted([a0!, a2!, a2!], { limit: 3 })).toEqual([a2]);
    expect(await bed.returnUnstarted([a2!], { limit: 3 })).toEqual([]);
    expect(ids(await bed.take({ limit: 3 }))).toEqual([a2]);
    expect(ids(await bed.take({ limit: 3 }))).toEqual([]);
  });

  it('has no start to give back if this may have lapsed', async () => {
    const [a0, a1] = await bed.publish(a(3));
    await bed.take();
    await bed.admin.call('XCLAIM', keys.stream, GROUP, ME, 0, a1!, 'IDLE', LONG_MS, 'RETRYCOUNT', 1, 'JUSTID');
    // The window is older than that: its second part is when it was made.
    const window = (await bed.admin.hgetBuffer(rates.rates, 'a'))!;
    window.writeDoubleLE(0, 1);
    await bed.admin.hset(rates.rates, 'a', window);
    expect(await bed.returnUnstarted([a1!])).toEqual([a1]);
    expect(await bed.take()).toMatchObject({ claimed: [] });
    expect(await bed.owned()).toMatchObject({ [ME]: [a0] });
  });

  it('has no start to give back in a window that was made since', async () => {
    const [a0] = await bed.publish(a(4));
    await bed.take({ limit: 1 });
    await bed.lapse();
    await untilLater();
    await bed.makeDue('a');
    expect((await bed.take({ consumer: OTHER })).claimed).toHaveLength(2);
    expect(await bed.returnUnstarted([a0!])).toEqual([a0]);
    expect(await bed.take()).toMatchObject({ claimed: [] });
  });

  it('and was deleted by other software, is returned all the same', async () => {
    const all = await bed.publish(a(2));
    await bed.take();
    await bed.admin.xdel(keys.stream, all[0]!);
    expect(await bed.returnUnstarted(all)).toEqual(all);
    expect(ids(await bed.take())).toEqual([all[1]]);
  });

  it('and has no key, is returned all the same', async () => {
    const all = await bed.publish(['', '']);
    await bed.take();
    expect(await bed.returnUnstarted(all)).toEqual(all);
    expect(ids(await bed.take())).toEqual(all);
  });

  itAsUsersSendIt('is returned with its start while Redis is full', async () => {
    const all = await bed.publish(a(3));
    await bed.take();
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      expect(await bed.returnUnstarted([all[1]!])).toEqual([all[1]]);
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    expect(ids(await bed.take())).toEqual([all[1]]);
  });

  it.each([
    ['windows', () => rates.rates],
    ['times', () => rates.rateDue],
  ])('stays where it is if the %s are something else', async (_, key) => {
    const [a0] = await bed.publish(a(1));
    await bed.take();
    await bed.admin.del(key());
    await bed.admin.set(key(), 'else');
    await expect(bed.returnUnstarted([a0!])).rejects.toThrow('WRONGTYPE');
    expect(await bed.owned()).toEqual({ [ME]: [a0] });
  });
});

describe('of all tasks, what did not start', () => {
  it.each([2, 100])('is returned with its start, of %d', async (limit) => {
    const all = await bed.publish(new Array<string>(limit + 2).fill(''));
    expect(await takeOfAll(limit)).toMatchObject({ claimed: { length: limit }, waits: true });
    expect(await bed.returnUnstarted([all[1]!], { limit, ofAll: true })).toEqual([all[1]]);
    expect(ids(await takeOfAll(limit))).toEqual([all[1]]);
    expect(ids(await takeOfAll(limit))).toEqual([]);
  });

  it('is returned with its start, where a longer grace is known', async () => {
    await bed.admin.set(grace, '40');
    const all = await bed.publish(new Array<string>(101).fill(''));
    await takeOfAll(100);
    await untilLater();
    await bed.returnUnstarted([all[1]!], { limit: 100, ofAll: true });
    expect(ids(await takeOfAll(100))).toEqual([all[1]]);
  });

  it('leaves no window behind if nothing has started', async () => {
    const all = await bed.publish(['', '']);
    await takeOfAll(2);
    await bed.returnUnstarted(all, { ofAll: true });
    expect(await bed.admin.exists(rate)).toBe(0);
  });

  it('stays where it is if the window is something else', async () => {
    const all = await bed.publish(['']);
    await takeOfAll(2);
    await bed.admin.del(rate);
    await bed.admin.lpush(rate, 'else');
    await expect(bed.returnUnstarted(all, { ofAll: true })).rejects.toThrow('WRONGTYPE');
    expect(await bed.owned()).toEqual({ [ME]: all });
  });
});
