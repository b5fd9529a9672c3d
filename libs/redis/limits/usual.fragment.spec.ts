import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BEGIN_US, LimitBed, fixed, sliding, type Rule } from '../../../test/support/limit-bed.js';
import { LIMIT, USUAL, defineScript, lua } from '../index.js';

/** One call on two keys in the same state: on the first by the short way if it can be, on the second by the rules. */
const both = defineScript({
  name: 'test:usual',
  keys: ['short', 'long'],
  args: {
    now: 'number',
    kind: 'text',
    limit: 'number',
    span: 'number',
    x: 'number',
    y: 'number',
    units: 'number',
    nonce: 'bytes',
  },
  lua: lua`
${USUAL}
${LIMIT}
local function byRules(key)
  local s, left, reset = openLimit(key, kind, limit, span, x, y), nil, nil
  local isRepeat = traceOf(s, nonce)
  if not isRepeat and roomFor(s, 1, units) == 1 then
    chargeLimit(s, units)
    trace(s, nonce, units, true)
    left, reset = unitsLeft(s), math.ceil(resetAfter(s))
  end
  if left or s.stepped then saveLimit(s) end
  return left, reset
end
local shortLeft, shortReset = decideUsually(short, kind, limit, span, kind == 'c' and y or nil, units, nonce)
local way = shortLeft and 1 or 0
if not shortLeft then shortLeft, shortReset = byRules(short) end
local left, reset = byRules(long)
-- Lifetimes are of the server's time, which is not the time of this test.
for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
local function answer(key, left, reset)
  return left and string.format('%.17g left, back after %.17g', left, reset) or 'refused', redis.call('GET', key) or ''
end
local ofShort, ofLong = { answer(short, shortLeft, shortReset) }, { answer(long, left, reset) }
return { way, ofShort[1], ofShort[2], ofLong[1], ofLong[2] }
`,
  buffers: true,
  decode: (reply) => {
    const [way, ...texts] = reply as [number, Buffer, Buffer, Buffer, Buffer];
    const [short, shortState, long, longState] = texts.map((text) => text.toString('latin1'));
    return { way, short: [short, shortState], long: [long, longState] };
  },
});

/** Tells only whether the short way was taken. */
const shortWay = defineScript({
  name: 'test:short-way',
  keys: ['key'],
  args: { now: 'number' },
  lua: lua`
${USUAL}
return decideUsually(key, 's', 5, 60000000, nil, 1, 'nonce   ') and 1 or 0
`,
  decode: (reply) => reply,
});

/** In one slot. */
const [SHORT, LONG] = ['{k}short', '{k}long'];
const bed = new LimitBed();
let nonces = 0;

async function step(now: number, { kind, limit, spanMs, x = 0, y = 0 }: Rule, units: number, nonce = String(nonces++)) {
  const args = { now, kind, limit, span: spanMs * 1_000, x, y, units, nonce: nonce.padEnd(8) };
  return both.run(bed.link, { keys: { short: SHORT, long: LONG }, args });
}

/** A calendar of windows of a minute, as the caller computes them. */
const calendar = (limit: number, now: number): Rule => {
  const x = Math.floor(now / 60_000_000) * 60_000_000;
  return { kind: 'c', limit, spanMs: 60_000, x, y: x + 60_000_000 };
};

const RULES: Record<string, (now: number) => Rule> = {
  'a ring of 5': () => sliding(5),
  'a ring of 64': () => sliding(64),
  'slots of 65': () => sliding(65),
  'slots of 70,000': () => sliding(70_000),
  'slots of a short window': () => sliding(100, 10),
  'fixed windows': () => fixed(20),
  'a calendar': (now) => calendar(20, now),
};

const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));

/** What somebody else does to a state: cuts it off, adds bytes, or changes its first byte or one of its numbers. */
const changes = fc.oneof(
  fc.record({ cutTo: fc.nat(200), append: bytes }).map(({ cutTo, append }) => {
    return (state: Buffer) => Buffer.concat([state.subarray(0, cutTo), append]);
  }),
  fc.constantFrom('x', 'f', 'r', 's', 'S', 't', '!').map((tag) => {
    return (state: Buffer) => Buffer.concat([Buffer.from(tag), state.subarray(1)]);
  }),
  fc
    .record({
      at: fc.constantFrom(1, 9, 17, 25, 33),
      value: fc.constantFrom(
        -5,
        0,
        0.5,
        Number.NaN,
        Infinity,
        1e300,
        -1e300,
        BEGIN_US,
        BEGIN_US + 1e12,
        BEGIN_US / 1e3,
      ),
    })
    .map(({ at, value }) => (state: Buffer) => {
      const changed = Buffer.from(state);
      if (changed.length >= at + 8) changed.writeDoubleLE(value, at);
      return changed;
    }),
);
/** What happens before a call: time passes, the clock is set back, somebody else writes, the configuration changes. */
const events = fc.array(
  fc.record({
    passUs: fc.oneof(
      fc.integer({ min: 0, max: 2_000 }),
      fc.integer({ min: 0, max: 5_000_000 }),
      fc.integer({ min: 0, max: 70_000_000 }),
    ),
    backUs: fc.oneof(
      { weight: 30, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 90_000_000 }) },
    ),
    units: fc.oneof(
      { weight: 3, arbitrary: fc.constant(1) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 12 }) },
    ),
    again: fc.boolean(),
    change: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: changes }),
    other: fc.oneof(
      { weight: 12, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom(...Object.values(RULES)) },
    ),
  }),
  { minLength: 10, maxLength: 50 },
);

it.each(Object.entries(RULES))('%s: the short way answers and writes what the rules do', async (_, ruleAt) => {
  let ways = 0;
  await fc.assert(
    fc.asyncProperty(events, async (steps) => {
      await bed.admin.flushall();
      let now = BEGIN_US;
      let nonce = '';
      for (const { passUs, backUs, units, again, change, other } of steps) {
        now += passUs - backUs;
        if (change !== undefined) {
          const text = (await bed.admin.getBuffer(LONG)) ?? Buffer.alloc(0);
          const changed = change(text);
          for (const key of [SHORT, LONG]) await bed.admin.set(key, changed);
        }
        if (!again) nonce = String(nonces++);
        const { way, short, long } = await step(now, (other ?? ruleAt)(now), units, nonce);
        expect(short).toEqual(long);
        ways += way;
      }
    }),
    { numRuns: 60 },
  );
  // Not an idle comparison of the rules with themselves.
  expect(ways).toBeGreaterThan(100);
});

it.each(Object.entries(RULES))('%s takes the short way for a new key, and as long as calls fit', async (_, ruleAt) => {
  for (let i = 0; i < 5; i++) expect(await step(BEGIN_US + i * 100, ruleAt(BEGIN_US), 1)).toMatchObject({ way: 1 });
});

it('slots take the short way in later slots, and after all of them have lapsed', async () => {
  let now = BEGIN_US;
  for (const passUs of [0, 1_999_999, 2_000_000, 30_000_000, 60_000_000, 62_000_000, 10 * 62_000_000]) {
    now += passUs;
    expect(await step(now, sliding(100), 3)).toMatchObject({ way: 1 });
  }
});

it('a ring takes the short way when all of its units have lapsed', async () => {
  await step(BEGIN_US, sliding(5), 5);
  const { way, short, long } = await step(BEGIN_US + 60_001_000, sliding(5), 2);
  expect(way).toBe(1);
  expect(short).toEqual(long);
});

it('a unit of a ring stays for the whole window', async () => {
  for (const at of [0, 59_999_999, 60_000_000, 60_000_001]) {
    const { way, short, long } = await step(BEGIN_US + at, sliding(5), 1);
    expect(way).toBe(1);
    expect(short).toEqual(long);
  }
});

it('a part of a unit that somebody else wrote counts as one, where slots become a ring', async () => {
  await step(BEGIN_US, sliding(100), 1);
  const state = (await bed.admin.getBuffer(LONG)) ?? Buffer.alloc(0);
  // The units of the newest slot.
  state.writeDoubleLE(0.5, 33);
  for (const key of [SHORT, LONG]) await bed.admin.set(key, state);
  for (const left of [3, 2, 1, 0]) {
    const { short, long } = await step(BEGIN_US, sliding(5), 1);
    expect(short).toEqual(long);
    expect(short[0]).toMatch(new RegExp(`^${left} left`));
  }
  expect(await step(BEGIN_US, sliding(5), 1)).toMatchObject({ short: ['refused', expect.anything()] });
});

it('instants that four bytes do not hold are left to the rules', async () => {
  const day = 86_400_000;
  for (const days of [0, 40, 60, 110]) {
    const { way, short, long } = await step(BEGIN_US + days * day * 1_000, sliding(5, 100 * day), 1);
    expect(way).toBe(days === 60 || days === 110 ? 0 : 1);
    expect(short).toEqual(long);
  }
});

it('a call of more units than there are is left to the rules', async () => {
  for (const rule of [sliding(5), sliding(100), fixed(5)])
    expect(await step(BEGIN_US, rule, 1_000_000)).toMatchObject({ way: 0, short: ['refused', ''] });
});

it('a call that does not fit is left to the rules', async () => {
  await step(BEGIN_US, sliding(5), 5);
  expect(await shortWay.run(bed.link, { keys: { key: SHORT }, args: { now: BEGIN_US } })).toBe(0);
});

it('a key of another type is left to the rules', async () => {
  await bed.admin.hset(SHORT, 'a', 'b');
  expect(await shortWay.run(bed.link, { keys: { key: SHORT }, args: { now: BEGIN_US } })).toBe(0);
});
