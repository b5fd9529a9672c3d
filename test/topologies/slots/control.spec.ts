import { expect, it } from '@jest/globals';
import { defineScript, lua } from 'nestjs-sluice/redis';
import { LockBed } from '../../support/lock-bed.js';
import { QueueBed } from '../../support/queue-bed.js';
import { CacheBed } from '../../support/cache-bed.js';
import { ScriptBed } from '../../support/script-bed.js';

/** What all suites of this topology would miss if a bed started a plain server. */
const beds = { locks: new LockBed(), cache: new CacheBed(), queue: new QueueBed(), scripts: new ScriptBed() };

const acrossSlots = defineScript({
  name: 'planted',
  keys: ['one', 'other'],
  args: {},
  lua: lua`redis.call('SET', one, 1) return redis.call('GET', other)`,
  decode: (reply) => reply,
});

it('rejects a planted script whose keys are in two slots, and takes one of a single slot', async () => {
  const call = (one: string, other: string): Promise<unknown> =>
    acrossSlots.run(beds.scripts.link, { keys: { one, other }, args: {} });
  await expect(call('a', 'b')).rejects.toThrow('CROSSSLOT');
  expect(await beds.scripts.admin.exists('a')).toBe(0);
  expect(await call('{a}one', '{a}other')).toBeNull();
});

const computes = defineScript({
  name: 'planted',
  keys: ['one'],
  args: { suffix: 'text' },
  lua: lua`redis.call('SET', one, 1) return redis.call('GET', one .. suffix)`,
  decode: (reply) => reply,
});

it('rejects a planted script that computes the name of a key in another slot, and takes one of its own slot', async () => {
  const call = (one: string): Promise<unknown> =>
    computes.run(beds.scripts.link, { keys: { one }, args: { suffix: '-other' } });
  await expect(call('a')).rejects.toThrow('do not hash to the same slot');
  expect(await call('{a}')).toBeNull();
});

it.each(Object.keys(beds) as (keyof typeof beds)[])('rejects a command across slots on the bed of %s', async (name) => {
  await expect(beds[name].admin.mget('a', 'b')).rejects.toThrow('CROSSSLOT');
});
