/** What is no state of a limit counts as none: the limit is as new, and no call fails. */
import { describe, expect, it } from '@jest/globals';
import { BEGIN_US, LimitBed, bucket, fixed, pace, sliding, type Rule } from '../../../test/support/limit-bed.js';

const bed = new LimitBed();

const RULES: Readonly<Record<string, Rule>> = {
  ring: sliding(5),
  slots: sliding(500),
  wide: sliding(100_000),
  bucket: bucket(5),
  fixed: fixed(5),
  calendar: { ...fixed(5), kind: 'c', x: BEGIN_US, y: BEGIN_US + 60_000_000 },
  pace: pace(5),
};

const zeros = (bytes: number): Buffer => Buffer.alloc(bytes);
function doubles(...numbers: number[]): Buffer {
  const bytes = zeros(8 * numbers.length);
  for (const [i, number] of numbers.entries()) bytes.writeDoubleLE(number, 8 * i);
  return bytes;
}
/** A letter, and what follows it. */
const state = (letter: string, ...parts: Buffer[]): Buffer => Buffer.concat([Buffer.from(letter), ...parts]);
const count = (offsets: number): Buffer => Buffer.from([offsets % 256, offsets >> 8]);

const VALUES: Readonly<Record<string, Buffer>> = {
  'a text': Buffer.from('a text of somebody'),
  'a letter': Buffer.from('r'),
  'a ring without offsets': state('r', doubles(0, BEGIN_US / 1_000), count(0), zeros(40)),
  'a ring that was cut off': state('r', doubles(0, BEGIN_US / 1_000), count(5), zeros(16)),
  'a ring whose instants are no numbers': state('r', doubles(0, NaN), count(2), zeros(8)),
  'narrow slots that were cut off': state('s', doubles(0, 2_000_000, BEGIN_US / 2_000_000, 3, 4), zeros(59)),
  'wide slots that were cut off': state('S', doubles(0, 2_000_000, BEGIN_US / 2_000_000, 3, 4), zeros(119)),
  'slots with less than no units': state('s', doubles(0, 2_000_000, BEGIN_US / 2_000_000, -3, 0), zeros(60)),
  'slots whose units are no number': state('s', doubles(0, 2_000_000, BEGIN_US / 2_000_000, 0, NaN), zeros(60)),
  'slots between two slots': state('s', doubles(0, 2_000_000, BEGIN_US / 2_000_000 - 1.5, 0, 0), zeros(60)),
  'a bucket that was cut off': state('t', zeros(10)),
  'a window that was cut off': state('f', doubles(0, BEGIN_US), zeros(7)),
  'a window without an end': state('f', doubles(0, NaN, 3)),
  'a window with no number of units': state('f', doubles(0, BEGIN_US + 1_000_000, NaN)),
  'a block that was cut off': state('!', zeros(15)),
  'a block that begins at no time': state('!', doubles(NaN, 1_000_000)),
  'a block without an end': state('!', doubles(BEGIN_US, Infinity)),
  'a block that is no number': state('!', doubles(BEGIN_US + 1_000_000, NaN)),
};

describe.each(Object.entries(RULES))('the key of a limit: %s', (_, rule) => {
  it.each(Object.entries(VALUES))('may hold %s', async (_name, value) => {
    const first = await bed.run(BEGIN_US, rule);
    expect(first).toMatchObject({ granted: 1, due: 0, after: 0 });
    await bed.admin.del('k');
    await bed.admin.set('k', value);
    expect(await bed.run(BEGIN_US, rule, { what: 'peek' })).toMatchObject({
      granted: 0,
      left: first.left + 1,
      reset: 0,
    });
    expect(await bed.run(BEGIN_US, rule)).toEqual(first);
    // A turn of a leaky bucket is given back by its end.
    const at = rule.kind === 'p' ? BEGIN_US + rule.x! : 0;
    expect(await bed.run(BEGIN_US, rule, { what: 'refund', at })).toMatchObject({ left: first.left + 1 });
  });
});

it('the sum of slots is no less than zero, whatever their counters are', async () => {
  const counters = Buffer.alloc(60, 1);
  await bed.admin.set('k', state('s', doubles(0, 2_000_000, BEGIN_US / 2_000_000, 0, 0), counters));
  expect(await bed.run(BEGIN_US + 20_000_000, RULES['slots']!, { what: 'peek' })).toMatchObject({ left: 500 });
  expect(await bed.run(BEGIN_US, RULES['slots']!, { what: 'refund', cost: 500 })).toMatchObject({ left: 500 });
});

it('the rest of a trace that was cut off is no trace', async () => {
  await bed.run(BEGIN_US, RULES['fixed']!, { nonce: 'again' });
  const text = (await bed.admin.getBuffer('k'))!;
  await bed.admin.set('k', text.subarray(0, -1));
  expect(await bed.run(BEGIN_US, RULES['fixed']!, { nonce: 'again' })).toMatchObject({ granted: 1, left: 3 });
});
