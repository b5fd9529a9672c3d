import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import type { InboxHandler, Instant, ProofNeed } from '../../redis/index.js';
import { encode } from '../codec/codec.js';
import { LocalTier } from './local-tier.js';

/** An inbox whose messages and whose health are the test's. */
class FakeInbox {
  proven: Instant = { monoMs: 0, wallMs: 0 };
  readonly channels: string[] = [];
  #handler: InboxHandler = () => {};
  #resync = (): void => {};

  on(_kind: string, handler: InboxHandler): void {
    this.#handler = handler;
  }
  onResync(callback: () => void): void {
    this.#resync = callback;
  }
  join(channel: string): void {
    this.channels.push(channel);
  }
  need!: ProofNeed;
  readonly proveNow = jest.fn();

  proveFor(need: ProofNeed): () => void {
    this.need = need;
    return this.proveNow;
  }

  announce(...parts: (string | number)[]): void {
    this.#handler(parts.map(String));
  }
  subscribed(): void {
    this.#resync();
  }
}

let clock: ManualClock;
let inbox: FakeInbox;
let tier: LocalTier;
beforeEach(() => {
  clock = new ManualClock();
  inbox = new FakeInbox();
  tier = new LocalTier({
    inbox,
    channel: 'news',
    sequence: 'numbers',
    clock,
    limits: { maxEntries: 3, maxBytes: 10_000 },
  });
  prove();
});

function prove(): void {
  inbox.proven = tier.now();
}

/** What a question that is answered at once leaves. */
function put(key: string, value: unknown, { ttlMs = 60_000, tags = [] as string[] } = {}): void {
  const watch = tier.watch(key);
  tier.keep(watch, tier.now(), { value: { text: encode(value), tags }, leftMs: ttlMs });
  tier.unwatch(watch);
}

const read = (key: string): unknown => tier.read(key)?.take();

describe('LocalTier', () => {
  it('answers what was kept, a copy to each', () => {
    const value = { list: [{ n: 1 }], at: null };
    put('plain', value);
    put('rich', { at: new Date(5) });
    for (const key of ['plain', 'rich']) {
      const [one, two] = [read(key), read(key)] as [object, object];
      expect(one).toEqual(two);
      expect(one).not.toBe(two);
    }
    const mine = read('plain') as typeof value;
    mine.list[0]!.n = 2;
    mine.list.push({ n: 3 });
    expect(read('plain')).toEqual(value);
    (read('rich') as { at: Date }).at.setTime(6);
    expect(read('rich')).toEqual({ at: new Date(5) });
  });

  it('gives what the codec gives, whatever the value', () => {
    for (const value of [
      undefined,
      null,
      0,
      'text',
      [],
      {},
      10n,
      [undefined, new Map([[1, new Set([2])]])],
      Object.assign(Object.create(null) as object, { a: 1 }),
      JSON.parse('{"__proto__": {"a": [1]}, "b": {"__proto__": null}}'),
      { '~d': 1 },
      Buffer.from('bytes'),
    ] as unknown[]) {
      put('k', value);
      for (let i = 0; i < 3; i++) {
        const taken = read('k');
        expect(taken).toStrictEqual(value);
        if (typeof value === 'object' && value !== null)
          expect(Reflect.getPrototypeOf(taken as object)).toBe(Reflect.getPrototypeOf(value));
      }
    }
  });

  it.each([
    [
      'on the monotonic clock',
      (ms: number) => {
        clock.jump(ms);
      },
    ],
    [
      'on the wall clock alone: the machine slept',
      (ms: number) => {
        clock.step(ms);
      },
    ],
  ])('never outlives the remaining time, %s', (_name, pass) => {
    put('k', 1, { ttlMs: 500 });
    pass(499);
    prove();
    expect(read('k')).toBe(1);
    pass(1);
    prove();
    expect(read('k')).toBeUndefined();
    expect(tier.size.entries).toBe(0);
  });

  it('counts the remaining time from when Redis was asked', () => {
    const watch = tier.watch('k');
    const asked = tier.now();
    clock.jump(300);
    tier.keep(watch, asked, { value: { text: '1', tags: [] }, leftMs: 500 });
    prove();
    clock.jump(200);
    expect(read('k')).toBeUndefined();
    tier.keep(watch, asked, { value: { text: '1', tags: [] }, leftMs: 0 });
    expect(tier.size.entries).toBe(0);
  });

  it.each([
    [
      'on the monotonic clock',
      (ms: number) => {
        clock.jump(ms);
      },
    ],
    [
      'on the wall clock alone: the machine slept',
      (ms: number) => {
        clock.step(ms);
      },
    ],
  ])('is bypassed once the socket has proven nothing for a second, %s', (_name, pass) => {
    put('k', 1);
    pass(999);
    expect(read('k')).toBe(1);
    pass(1);
    expect(read('k')).toBeUndefined();
    prove();
    expect(read('k')).toBe(1);
  });

  it('drops a key, a tag, everything, when told', () => {
    put('a', 1, { tags: ['t', 'u'] });
    put('b', 2, { tags: ['u'] });
    put('c', 3);
    inbox.announce(1, 'key', 'b');
    expect([read('a'), read('b'), read('c')]).toEqual([1, undefined, 3]);
    inbox.announce(2, 'tag', 'x', 't');
    expect([read('a'), read('c')]).toEqual([undefined, 3]);
    inbox.announce(3, 'all');
    expect(tier.size).toEqual({ entries: 0, bytes: 0 });
  });

  it.each([
    [
      'a number is missing',
      () => {
        inbox.announce(7, 'key', 'other');
      },
    ],
    [
      'the counter began anew',
      () => {
        inbox.announce(1, 'key', 'other');
      },
    ],
    [
      'there was no number',
      () => {
        inbox.announce('?', 'key', 'other');
      },
    ],
    [
      'it is subscribed anew',
      () => {
        inbox.subscribed();
      },
    ],
  ])('drops everything when announcements may have been missed: %s', (_name, happen) => {
    inbox.announce(5, 'key', 'other');
    put('k', 1);
    const watch = tier.watch('l');
    happen();
    expect(read('k')).toBeUndefined();
    tier.keep(watch, tier.now(), { value: { text: '1', tags: [] }, leftMs: 1_000 });
    expect(read('l')).toBeUndefined();
    put('k', 2);
    expect(read('k')).toBe(2);
  });

  it('goes on after a gap, and takes the first number after a subscription as it is', () => {
    inbox.announce(5, 'key', 'other');
    inbox.announce(9, 'key', 'other');
    put('k', 1);
    inbox.announce(10, 'key', 'other');
    expect(read('k')).toBe(1);
    inbox.subscribed();
    put('k', 1);
    inbox.announce(40, 'key', 'other');
    expect(read('k')).toBe(1);
  });

  it.each([
    [
      'its key',
      () => {
        inbox.announce(1, 'key', 'k');
      },
    ],
    [
      'a tag, which may be its own',
      () => {
        inbox.announce(1, 'tag', 't');
      },
    ],
    [
      'everything',
      () => {
        inbox.announce(1, 'all');
      },
    ],
    [
      'its key, by this process',
      () => {
        tier.drop('k');
      },
    ],
  ])('keeps no answer to a question that an invalidation overtook: %s', (_name, happen) => {
    const watch = tier.watch('k');
    const asked = tier.now();
    happen();
    // Another question for the key has nothing to do with it.
    put('k', 'new');
    tier.keep(watch, asked, { value: { text: encode('old'), tags: ['t'] }, leftMs: 1_000 });
    expect(read('k')).toBe('new');
  });

  it('keeps an answer when another key was invalidated', () => {
    const watch = tier.watch('k');
    inbox.announce(1, 'key', 'other');
    tier.keep(watch, tier.now(), { value: { text: '1', tags: [] }, leftMs: 1_000 });
    expect(read('k')).toBe(1);
  });

  it('keeps an answer when other tags were invalidated, also in a flood', () => {
    const watch = tier.watch('k');
    const asked = tier.now();
    for (let i = 1; i <= 5_000; i++) inbox.announce(i, 'tag', `evil${i % 1_000}`);
    tier.keep(watch, asked, { value: { text: '1', tags: ['t'] }, leftMs: 1_000 });
    expect(read('k')).toBe(1);
    inbox.announce(5_001, 'tag', 't');
    expect(read('k')).toBeUndefined();
    // The next question is asked after it.
    put('k', 2, { tags: ['t'] });
    expect(read('k')).toBe(2);
  });

  it('keeps no answer to a question that more tags overtook than it remembers', () => {
    const watch = tier.watch('k');
    const asked = tier.now();
    tier.dropTag('t');
    for (let i = 0; i < 1_000; i++) tier.dropTag(`evil${i}`);
    tier.keep(watch, asked, { value: { text: '1', tags: ['t'] }, leftMs: 1_000 });
    expect(read('k')).toBeUndefined();
    put('k', 2, { tags: ['t'] });
    expect(read('k')).toBe(2);
  });

  it('has the way of its messages proven often, while it holds a copy that may be fresh', async () => {
    const { need, proveNow } = inbox;
    expect([need.everyMs, need.isNeeded(), proveNow.mock.calls.length]).toEqual([300, false, 0]);
    put('a', 1, { ttlMs: 100 });
    put('b', 1, { ttlMs: 200 });
    put('a', 2, { ttlMs: 100 });
    expect([need.isNeeded(), proveNow.mock.calls.length]).toEqual([true, 1]);
    await clock.pass(199);
    expect(need.isNeeded()).toBe(true);
    await clock.pass(1);
    expect(need.isNeeded()).toBe(false);
    put('c', 1);
    expect([need.isNeeded(), proveNow.mock.calls.length]).toEqual([true, 2]);
    tier.clear();
    expect(need.isNeeded()).toBe(false);
  });

  it('drops all copies when a proof tells of an announcement that has not arrived', () => {
    const { counter } = inbox.need;
    expect(counter?.key).toBe('numbers');
    // The first number after a subscription is the one to begin with.
    put('a', 1);
    counter!.heard('7');
    inbox.announce(8, 'key', 'other');
    counter!.heard('8');
    expect(read('a')).toBe(1);
    counter!.heard('9');
    expect(read('a')).toBeUndefined();
    put('a', 2);
    counter!.heard('9');
    inbox.announce(10, 'key', 'other');
    expect(read('a')).toBe(2);
    // The counter was lost, as by FLUSHALL.
    counter!.heard('0');
    expect(read('a')).toBeUndefined();
  });

  it('keeps to its limits, and the most recently used', () => {
    for (const key of ['a', 'b', 'c']) put(key, key);
    read('a');
    put('d', 'd', { tags: ['t'] });
    expect([read('a'), read('b'), read('c'), read('d')]).toEqual(['a', undefined, 'c', 'd']);
    put('huge', 'x'.repeat(10_000), { tags: ['t'] });
    expect(read('huge')).toBeUndefined();
    put('large', 'x'.repeat(4_000));
    expect(tier.size.bytes).toBeLessThanOrEqual(10_000);
    put('other', 'x'.repeat(4_000));
    expect(tier.size).toEqual({ entries: 1, bytes: expect.any(Number) });
    expect(read('large')).toBeUndefined();
  });
});
