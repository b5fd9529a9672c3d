import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  GROUP,
  LONG_MS,
  ME,
  PACED,
  RELEASED,
  RatedScriptBed,
  grace,
  keys,
  rates,
  type TakeOver,
} from '../../../../test/model/rated-script-bed.js';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { SET_BACK } from '../../../../test/support/limit-records.js';
import { until } from '../../../../test/support/until.js';
import type { Taken } from './take.script.js';

const bed = new RatedScriptBed();
const ids = ({ claimed }: Taken): string[] => claimed.map(({ id }) => id);
const a = (count: number): string[] => new Array<string>(count).fill('a');
const untilTaken = (over: TakeOver, what = 'there is room'): Promise<Taken> =>
  until(
    async () => {
      const taken = await bed.take(over);
      return taken.claimed.length > 0 && taken;
    },
    { what, everyMs: 1 },
  );

/** The clock of the server was set back by so much, as far as the windows can tell. */
async function setBack(ms: number): Promise<void> {
  for (const [key, text] of Object.entries(await bed.admin.hgetallBuffer(rates.rates))) {
    await bed.admin.set('{tasks}:window', text, 'PX', LONG_MS);
    await bed.admin.eval(SET_BACK, 1, '{tasks}:window', String(ms * 1_000));
    await bed.admin.hset(rates.rates, key, (await bed.admin.getBuffer('{tasks}:window'))!);
  }
  for (const key of [rates.rates, rates.rateEnds]) await bed.admin.pexpire(key, (await bed.admin.pttl(key)) + ms);
  for (const index of [rates.rateDue, rates.rateEnds]) {
    for (const key of await bed.admin.zrange(index, '0', '-1')) await bed.admin.zincrby(index, ms, key);
  }
}

beforeEach(() => bed.declare());

describe('what is kept', () => {
  it('is nothing without tasks, and windows until they have lapsed', async () => {
    await bed.take();
    await bed.publish(['', '']);
    await bed.take();
    expect(await bed.admin.keys('*rate*')).toEqual([]);
    await bed.publish(['a', 'b']);
    await bed.take({ perMs: 50 });
    expect((await bed.admin.hkeys(rates.rates)).sort()).toEqual(['a', 'b']);
    for (const key of [rates.rates, rates.rateEnds]) expect(await bed.admin.pttl(key)).toBeLessThanOrEqual(61);
    await bed.publish(['c']);
    await bed.take();
    for (const key of [rates.rates, rates.rateEnds]) expect(await bed.admin.pttl(key)).toBeGreaterThan(LONG_MS / 2);
    await until(
      async () => {
        await bed.take();
        return (await bed.admin.hlen(rates.rates)) === 1;
      },
      { what: 'two windows have lapsed' },
    );
    expect(await bed.admin.zrange(rates.rateEnds, '0', '-1')).toEqual(['c']);
  });

  it('leaves no consumer behind for which renewals would look', async () => {
    const [a0, a1] = await bed.publish(a(2));
    await bed.take({ limit: 1 });
    await bed.makeDue('a');
    await bed.lapse();
    expect(ids(await bed.take())).toEqual([a1]);
    await bed.take();
    expect(await bed.consumers()).toEqual([ME]);
    expect(await bed.owned()).toEqual({ [ME]: [a0, a1] });
  });

  it('keeps a longer grace for all callers, as long as starts may come late', async () => {
    await bed.publish(a(2));
    await bed.take({ limit: 1, perMs: 100, graceMs: 60_000 });
    expect(await bed.admin.get(grace)).toBe('60000');
    const { dueMs } = await bed.take({ limit: 1, perMs: 100 });
    expect(dueMs).toBeGreaterThan(1_000);
  });

  it('goes on after the clock was set back', async () => {
    const all = await bed.publish(a(5));
    await bed.take({ perMs: 300 });
    await setBack(LONG_MS);
    expect(await bed.take({ perMs: 300 })).toMatchObject({ claimed: [] });
    expect(ids(await untilTaken({ perMs: 300 }))).toEqual([all[2], all[3]]);
  });

  it('comes for a key in the shorter window, when a deploy has made it shorter', async () => {
    const all = await bed.publish(a(3));
    await bed.take();
    expect(ids(await untilTaken({ perMs: 20 }))).toEqual([all[2]]);
  });

  itAsUsersSendIt('goes on while Redis is full', async () => {
    const all = await bed.publish(a(5));
    await bed.lease(ME);
    // A caller that may not sweep leases, which would be a first write that is allowed.
    const window = { perMs: 300, sinceMs: await bed.serverMs() };
    const takeFull = async (): Promise<Taken> => {
      const taken = await until(
        async () => {
          const each = await bed.takeAlone(window);
          return each.claimed.length > 0 && each;
        },
        { what: 'there is room' },
      );
      return taken;
    };
    try {
      await bed.admin.config('SET', 'maxmemory', '1');
      expect(ids(await takeFull())).toEqual([all[0], all[1]]);
      expect(ids(await takeFull())).toEqual([all[2], all[3]]);
      await bed.admin.config('SET', 'maxmemory', '0');
      await setBack(LONG_MS);
      await bed.admin.config('SET', 'maxmemory', '1');
      expect(ids(await takeFull())).toEqual([all[4]]);
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
  });

  itAsUsersSendIt('comes again for a key without room, while Redis is full', async () => {
    await bed.publish(a(3));
    await bed.lease(ME);
    await bed.take();
    await bed.makeDue('a');
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      const { claimed, dueMs } = await bed.takeAlone({ sinceMs: await bed.serverMs() });
      expect(claimed).toEqual([]);
      expect(dueMs).toBeGreaterThan(LONG_MS / 2);
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
  });

  it('is read by nobody before the feature is declared, and its instant is over', async () => {
    await bed.publish(['a']);
    await bed.admin.del(keys.uses);
    await expect(bed.take()).rejects.toThrow('NOORDER');
    await bed.declare((await bed.serverMs()) + 60_000);
    await expect(bed.take()).rejects.toThrow('NOORDER');
    await bed.declare();
    await bed.admin.hset(keys.uses, 'newer', '1');
    await expect(bed.take()).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA' });
    expect(await bed.owned()).toEqual({});
  });

  it.each(['rates', 'rateEnds', 'rateLine', 'rateDue'] as const)('is nothing if %s is something else', async (of) => {
    await bed.publish(['a']);
    await bed.admin.set(rates[of], 'x');
    await expect(bed.take()).rejects.toThrow('WRONGTYPE');
    expect(await bed.owned()).toEqual({});
  });
});

describe('healing', () => {
  it('finds nothing where all is in its place', async () => {
    expect(await bed.heal()).toBe(0);
    await bed.publish(a(250));
    await bed.take();
    expect(await bed.heal()).toBe(0);
    expect(await bed.heal({ own: true })).toBe(0);
  });

  it('puts what waits back in line, and comes for keys that are not due', async () => {
    const all = await bed.publish([...a(250), 'b', 'b', 'b']);
    await bed.take();
    await bed.take();
    await bed.admin.del(rates.rateLine, rates.rateDue);
    expect(await bed.heal()).toBe(249 + 2);
    expect(await bed.lines()).toEqual({ a: all.slice(2, 250), b: all.slice(252) });
    expect((await bed.due()).sort()).toEqual(['a', 'b']);
    await bed.admin.del(rates.rateDue);
    expect(await bed.heal()).toBe(2);
    expect((await bed.due()).sort()).toEqual(['a', 'b']);
  });

  it('comes for a key of which only places of entries that are gone are in line', async () => {
    const all = await bed.publish(a(4));
    await bed.take();
    await bed.admin.xack(keys.stream, GROUP, ...all);
    await bed.admin.del(rates.rateDue);
    expect(await bed.heal()).toBe(1);
    await bed.lapse();
    await bed.take();
    expect(await bed.lines()).toEqual({});
  });

  it('returns what has no key any more, and forgets what was deleted', async () => {
    const [, a1, a2] = await bed.publish(a(3));
    await bed.take({ limit: 1 });
    await bed.admin.xdel(keys.stream, a2!);
    await bed.heal({ ratePath: 'elsewhere' });
    expect((await bed.owned())[RELEASED]).toEqual([a1]);
    expect((await bed.owned())[PACED]).toBeUndefined();
  });

  it('is for one process of the fleet at a time', async () => {
    await bed.publish(a(3));
    await bed.take();
    expect(await bed.heal({ everyMs: 60_000 })).toBe(0);
    await bed.admin.del(rates.rateLine);
    expect(await bed.heal({ everyMs: 60_000 })).toBe(0);
    await bed.admin.hset(keys.swept, `rates ${GROUP}`, '1');
    expect(await bed.heal({ everyMs: 60_000 })).toBe(1);
    await bed.admin.hset(keys.uses, 'newer', '1');
    await expect(bed.heal()).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA' });
  });
});
