import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CommitBed, DONE, key, refused, type Words } from '../../../../test/model/commit-bed.js';
import { task } from '../../../../test/support/queue-script-bed.js';

const bed = new CommitBed();
const { mails, tryWrites } = bed;

describe('a write that cannot be done', () => {
  const TYPED: readonly (readonly [kind: string, ...words: Words])[] = [
    ['string', 'incrby', 'k', 1],
    ['string', 'decrby', 'k', 1],
    ['hash', 'hset', 'k', 'f', 1],
    ['hash', 'hdel', 'k', 'f'],
    ['hash', 'hincrby', 'k', 'f', 1],
    ['set', 'sadd', 'k', 'm'],
    ['set', 'srem', 'k', 'm'],
    ['zset', 'zadd', 'k', 1, 'm'],
    ['zset', 'zrem', 'k', 'm'],
    ['list', 'rpush', 'k', 'v'],
  ];
  const make: Readonly<Record<string, (name: string) => Promise<unknown>>> = {
    string: (name) => bed.admin.set(name, 7),
    hash: (name) => bed.admin.hset(name, 'f', 7),
    set: (name) => bed.admin.sadd(name, 'm'),
    zset: (name) => bed.admin.zadd(name, 7, 'm'),
    list: (name) => bed.admin.rpush(name, 'v'),
  };

  it.each(TYPED)(
    'leaves a %s for %s, and refuses each other type before anything is written',
    async (kind, ...words) => {
      const write = [words[0]!, key('k'), ...words.slice(2)];
      for (const other of Object.keys(make)) {
        await make[other]!(key('k'));
        const expected = other === kind ? DONE : refused(1, 'type', other);
        expect(await tryWrites([['incrby', key('before'), 1], write, ['rpush', key('after'), 'x']])).toEqual(expected);
        await bed.admin.del(key('k'), key('before'), key('after'));
      }
      expect(await tryWrites([write])).toEqual(DONE);
      await bed.admin.del(key('k'));
    },
  );

  it.each(['set', 'del', 'unlink', 'expire'])('replaces no stream by %s: streams are tasks', async (name) => {
    await bed.admin.xadd(mails.stream, '*', ...task());
    const write = name === 'set' || name === 'expire' ? [name, mails.stream, 7] : [name, mails.stream];
    expect(await tryWrites([write])).toEqual(refused(0, 'stream'));
  });

  it.each(['', '1.0', ' 1', '1 ', '+1', '01', '-0', '1e3', 'x', '9223372036854775808', '12345678901234567890'])(
    'counts on no text that is no number: %j',
    async (text) => {
      await bed.admin.set(key('n'), text);
      await bed.admin.hset(key('h'), 'f', text);
      expect(await tryWrites([['incrby', key('n'), 0]])).toEqual(refused(0, 'integer'));
      expect(await tryWrites([['decrby', key('n'), 1]])).toEqual(refused(0, 'integer'));
      expect(await tryWrites([['hincrby', key('h'), 'f', -1]])).toEqual(refused(0, 'integer'));
    },
  );

  const MOST = '9223372036854775807';
  const LEAST = '-9223372036854775808';
  it.each<[name: string, from: string, by: number, fits: boolean]>([
    ['incrby', '9223372036854775806', 1, true],
    ['incrby', MOST, 1, false],
    ['incrby', MOST, 0, true],
    ['incrby', '9223372035999999999', 854775808, true],
    ['incrby', '9223372035999999999', 854775809, false],
    ['incrby', '-9223372036854775807', -1, true],
    ['incrby', LEAST, -1, false],
    ['incrby', LEAST, 0, true],
    ['incrby', '-9223372036000000001', -854775807, true],
    ['incrby', '-9223372036000000001', -854775808, false],
    ['incrby', '999999999', 1, true],
    ['incrby', '-1000000000', 1, true],
    ['decrby', LEAST, 1, false],
    ['decrby', '-9223372036854775807', 1, true],
    ['decrby', MOST, -1, false],
    ['decrby', '5', -5, true],
    ['decrby', '5', 0, true],
    ['incrby', '9214364837600034816', Number.MAX_SAFE_INTEGER, true],
    ['incrby', '9214364837600034817', Number.MAX_SAFE_INTEGER, false],
    ['decrby', '-9214364837600034817', Number.MAX_SAFE_INTEGER, true],
    ['decrby', '-9214364837600034818', Number.MAX_SAFE_INTEGER, false],
  ])('%s of %s by %d: fits in 64 bits is %s', async (name, from, by, fits) => {
    await bed.admin.set(key('n'), from);
    const expected = fits ? DONE : refused(0, 'overflow');
    expect(await tryWrites([[name, key('n'), by]])).toEqual(expected);
    const after = BigInt(from) + (name === 'incrby' ? 1n : -1n) * BigInt(by);
    expect(await bed.admin.get(key('n'))).toBe(String(fits ? after : from));
    await bed.admin.hset(key('h'), 'f', from);
    const ofField = name === 'incrby' ? by : by === 0 ? 0 : -by;
    expect(await tryWrites([['hincrby', key('h'), 'f', ofField]])).toEqual(expected);
  });
});

describe('writes to one key', () => {
  it.each<[what: string, writes: readonly Words[], expected: object]>([
    [
      'counts twice',
      [
        ['incrby', key('k'), 1],
        ['incrby', key('k'), 2],
      ],
      DONE,
    ],
    [
      'counts on what it sets',
      [
        ['set', key('k'), '41'],
        ['incrby', key('k'), 1],
      ],
      DONE,
    ],
    [
      'counts on a text that it sets',
      [
        ['set', key('k'), 'x'],
        ['incrby', key('k'), 1],
      ],
      refused(1, 'integer'),
    ],
    [
      'sets a text where a hash is wanted',
      [
        ['set', key('k'), 'x'],
        ['hset', key('k'), 'f', 1],
      ],
      refused(1, 'type', 'string'),
    ],
    [
      'counts beyond what it sets',
      [
        ['set', key('k'), '9223372036854775807'],
        ['decrby', key('k'), -1],
      ],
      refused(1, 'overflow'),
    ],
    [
      'counts beyond by two steps',
      [
        ['set', key('k'), '9223372036854775806'],
        ['incrby', key('k'), 1],
        ['incrby', key('k'), 1],
      ],
      refused(2, 'overflow'),
    ],
    [
      'sets a field and counts on it',
      [
        ['hset', key('k'), 'f', 1],
        ['hincrby', key('k'), 'f', 1],
      ],
      DONE,
    ],
    [
      'sets a field to a text and counts on it',
      [
        ['hset', key('k'), 'f', 'x'],
        ['hincrby', key('k'), 'f', 1],
      ],
      refused(1, 'integer'),
    ],
    [
      'counts on a field beside a text',
      [
        ['hset', key('k'), 'f', 'x'],
        ['hincrby', key('k'), 'g', 1],
      ],
      DONE,
    ],
    [
      'deletes such a field first',
      [
        ['hset', key('k'), 'f', 'x'],
        ['hdel', key('k'), 'f'],
        ['hincrby', key('k'), 'f', 1],
      ],
      DONE,
    ],
    [
      'makes a set and counts',
      [
        ['sadd', key('k'), 'm'],
        ['incrby', key('k'), 1],
      ],
      refused(1, 'type', 'set'),
    ],
    [
      'makes a zset and a list',
      [
        ['zadd', key('k'), 1, 'm'],
        ['rpush', key('k'), 1],
      ],
      refused(1, 'type', 'zset'),
    ],
    [
      'makes a list and a set',
      [
        ['rpush', key('k'), 'm'],
        ['sadd', key('k'), 1],
      ],
      refused(1, 'type', 'list'),
    ],
    [
      'makes a counter and a hash',
      [
        ['incrby', key('k'), 1],
        ['hset', key('k'), 'f', 1],
      ],
      refused(1, 'type', 'string'),
    ],
    [
      'makes a counter of fields and a set',
      [
        ['hincrby', key('k'), 'f', 1],
        ['sadd', key('k'), 1],
      ],
      refused(1, 'type', 'hash'),
    ],
    [
      'removes from nothing, and makes another type',
      [
        ['srem', key('k'), 'm'],
        ['zrem', key('k'), 'm'],
        ['hdel', key('k'), 'm'],
        ['rpush', key('k'), 1],
      ],
      DONE,
    ],
    [
      'makes and deletes, and makes another type',
      [
        ['rpush', key('k'), 1],
        ['del', key('k')],
        ['incrby', key('k'), 1],
      ],
      DONE,
    ],
    [
      'sets over another type',
      [
        ['rpush', key('k'), 1],
        ['set', key('k'), '1'],
        ['incrby', key('k'), 1],
        ['expire', key('k'), 5],
      ],
      DONE,
    ],
  ])('%s', async (_, writes, expected) => {
    expect(await tryWrites(writes)).toEqual(expected);
  });

  it('begin anew after the key was deleted or set', async () => {
    await bed.admin.set(key('k'), 'x');
    expect(
      await tryWrites([
        ['del', key('k')],
        ['incrby', key('k'), 1],
      ]),
    ).toEqual(DONE);
    await bed.admin.del(key('k'));
    await bed.admin.hset(key('k'), 'f', 'x');
    expect(
      await tryWrites([
        ['unlink', key('k')],
        ['hincrby', key('k'), 'f', 1],
      ]),
    ).toEqual(DONE);
  });

  it('may empty it: what then has another type is refused', async () => {
    await bed.admin.sadd(key('k'), 'm');
    expect(
      await tryWrites([
        ['srem', key('k'), 'm'],
        ['rpush', key('k'), 1],
      ]),
    ).toEqual(refused(1, 'type', 'set'));
  });
});

describe('whatever a task notes', () => {
  const place = fc.constantFrom('a', 'b').map(key);
  const value = fc.constantFrom<string | number>(
    '',
    'x',
    '7',
    '-1',
    '01',
    '9223372036854775807',
    '-9223372036854775808',
    0,
    5,
  );
  const by = fc.constantFrom(0, 1, -1, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER);
  const item = fc.constantFrom('f', 'g');
  const write: fc.Arbitrary<Words> = fc.oneof(
    fc.tuple(fc.constant('set'), place, value),
    fc.tuple(fc.constantFrom('del', 'unlink'), place),
    fc.tuple(fc.constantFrom('incrby', 'decrby'), place, by),
    fc.tuple(fc.constant('hset'), place, item, value),
    fc.tuple(fc.constant('hincrby'), place, item, by),
    fc.tuple(fc.constantFrom('hdel', 'sadd', 'srem', 'zrem', 'rpush'), place, item),
    fc.tuple(fc.constant('zadd'), place, by, item),
    fc.tuple(fc.constant('expire'), place, fc.constant(100)),
  );

  it('is done as a whole or not at all, and never breaks off in the middle', async () => {
    let done = 0;
    let whole = 0;
    const property = fc.asyncProperty(fc.array(write, { minLength: 1, maxLength: 8 }), async (writes) => {
      const { how } = await tryWrites(writes);
      if (how === 'done') done++;
      whole++;
    });
    await fc.assert(property, { seed: 7, numRuns: 400, endOnFailure: false });
    // Keys of all types come and go, so both happen often.
    expect(done).toBeGreaterThan(40);
    expect(whole - done).toBeGreaterThan(40);
  });
});
