import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader } from '../../../test/support/cache-member.js';
import { unheard } from '../../../test/support/unheard.js';
import { until } from '../../../test/support/until.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const LEASE = '{cache}~lease:k';

describe('delete and set during a load', () => {
  it.each(['delete', 'set'] as const)(
    '%s: what it loaded is never stored, by whomever it was invalidated',
    async (verb) => {
      for (const mine of [true, false]) {
        const [a, b] = [await bed.member(), await bed.member()];
        const source = new HeldLoader();
        const [leader, late] = [a.cache.getOrLoad('k', source.load), a.cache.getOrLoad('k', source.load)];
        const run = await source.run();
        const joined = a.cache.getOrLoad('k', source.load);
        const by = mine ? a.cache : b.cache;
        await (verb === 'delete' ? by.delete('k') : by.set('k', 'set'));
        run.succeed('old');
        expect(await leader).toBe('old');
        expect(await late).toBe('old');
        if (verb === 'delete') {
          expect(await a.cache.get('k')).toBe(undefined);
          (await source.run(2)).succeed('new');
        }
        const expected = verb === 'delete' ? 'new' : 'set';
        // It joined a load that was under way: it cannot know that it asked before the invalidation.
        expect(await joined).toBe(expected);
        expect(await b.cache.getOrLoad('k', source.load)).toBe(expected);
        await bed.admin.flushall();
      }
    },
  );

  it.each(['the same process', 'another process'])('readers that come after it, in %s, do not join', async (where) => {
    const [a, b] = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const before = a.cache.getOrLoad('k', source.load);
    const old = await source.run();
    await (where === 'another process' ? b : a).cache.delete('k');
    if (where === 'another process') await until(() => old.context.signal.aborted, { what: 'it is told' });
    const after = a.cache.getOrLoad('k', source.load);
    (await source.run(2)).succeed('new');
    expect(await after).toBe('new');
    old.succeed('old');
    expect(await before).toBe('old');
    expect(await a.cache.get('k')).toBe('new');
  });

  it('calls a loader off that listens, serves its callers from the next load, and calls that one off no more', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const call = a.cache.getOrLoad('k', ({ key, signal }) => {
      const held = source.load({ key, signal });
      return Promise.race([
        held,
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(signal.reason as Error);
          });
        }),
      ]);
    });
    await source.run();
    await b.cache.delete('k');
    const second = await source.run(2);
    await b.cache.delete('k');
    const other = b.cache.getOrLoad('k', source.load);
    const third = await source.run(3);
    second.succeed('second');
    expect(await call).toBe('second');
    expect(second.context.signal.aborted).toBe(false);
    third.succeed('third');
    expect(await other).toBe('third');
    expect(await a.cache.get('k')).toBe('third');
  });

  it('sends those who wait elsewhere back to ask', async () => {
    const [a, b, c] = [await bed.member(), await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const old = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    await c.cache.delete('k');
    (await source.run(2)).succeed('new');
    expect(await waiting).toBe('new');
    old.succeed('old');
    expect(await own).toBe('old');
    expect(await c.cache.get('k')).toBe('new');
  });

  it('is seen by a load whose grant is still on its way', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const replies = a.connections.get().commands.client.stream;
    replies.pause();
    const source = new HeldLoader();
    const call = a.cache.getOrLoad('k', source.load);
    await until(() => bed.admin.exists(LEASE), { what: 'the load is granted' });
    await b.cache.delete('k');
    // The push is sent before the reply to PUBLISH is, and reaches another socket: give it its turn.
    await bed.admin.ping();
    await new Promise(setImmediate);
    replies.resume();
    (await source.run()).succeed('v');
    expect(await call).toBe('v');
    expect(await b.cache.get('k')).toBe('v');
  });
});

it('a grant that is read when its lease has passed is not used: another loads by now', async () => {
  const [a, b] = [await bed.member({ leaseMs: 150 }), await bed.member({ leaseMs: 60_000 })];
  const source = new HeldLoader();
  for (const { cache } of [a, b]) await cache.getOrLoad('other', () => 'so that the script is known');
  const replies = a.connections.get().commands.client.stream;
  replies.pause();
  const late = a.cache.getOrLoad('k', source.load);
  await until(() => bed.admin.exists(LEASE), { what: 'the load is granted', everyMs: 2 });
  await until(async () => (await bed.admin.exists(LEASE)) === 0, { what: 'its lease passes', everyMs: 5 });
  const call = b.cache.getOrLoad('k', source.load);
  await source.run();
  replies.resume();
  await bed.waiters(1);
  expect(source.runs).toHaveLength(1);
  source.runs[0]!.succeed('v');
  expect(await Promise.all([call, late])).toEqual(['v', 'v']);
});

describe('messages', () => {
  it('that got lost are made up for after a re-subscribe', async () => {
    const [a, b] = [await bed.member({ leaseMs: 60_000 }), await bed.listening({ leaseMs: 60_000 })];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const run = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    // As if the push were lost: no process has an inbox of that name.
    const field = (await bed.admin.hkeys(LEASE)).find((name) => name.startsWith('w:'))!;
    await bed.admin.hset(LEASE, field, unheard());
    run.succeed('v');
    await own;
    const from = performance.now();
    await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    expect(await waiting).toBe('v');
    // Without a new subscription it asks when the lease should end.
    expect(performance.now() - from).toBeLessThan(40_000);
  });

  it('to a request that is over reach no later one of the same key', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const first = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    const token = (await bed.admin.hkeys(LEASE)).find((name) => name.startsWith('w:'))!.slice(2);
    await a.cache.delete('k');
    const second = await source.run(2);
    // What a fill before the delete pushed, and the network held back.
    const inbox = b.connections.get().inbox.channel;
    const late = ['cache:news', 'value', token, '"old"'].map((part) => `${part.length}:${part}`).join('');
    expect(await bed.admin.publish(inbox, late)).toBe(1);
    await b.cache.get('other');
    second.succeed('new');
    expect(await waiting).toBe('new');
    first.succeed('old');
    await own;
  });

  it('about a load that began long ago serve no caller who came late', async () => {
    let skewMs = 0;
    const { systemClock } = await import('../../redis/index.js');
    const clock = { ...systemClock, monoMs: () => systemClock.monoMs() + skewMs };
    // So long a lease that nobody asks again because of its end.
    const [a, b] = [await bed.member({ leaseMs: 60_000 }), await bed.member({ leaseMs: 60_000, clock })];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const run = await source.run();
    const early = b.cache.getOrLoad('k', source.load);
    const joined = b.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    skewMs = 1_001;
    const late = b.cache.getOrLoad('k', source.load);
    await bed.waiters(2);
    run.succeed('v');
    expect(await Promise.all([own, early, joined, late])).toEqual(['v', 'v', 'v', 'v']);
    expect(source.runs).toHaveLength(1);
  });
});
