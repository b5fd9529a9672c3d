import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PLAIN_QUESTION } from '../../../test/support/plain-question.js';
import { until } from '../../../test/support/until.js';
import { PushRouter } from '../../cache/loading/push-router.js';
import type { PushedOutcome, WaitTicket } from '../../cache/loading/wait-ticket.js';
import { CacheKeys } from '../../cache/store/cache.keys.js';
import { CacheStore, type AskRequest, type NewValue } from '../../cache/store/cache.store.js';
import type { Answer } from '../../cache/store/scripts/ask.script.js';
import { parseStored } from '../../cache/store/stored-value.js';
import { RedisConnections, systemClock } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../servers/redis-server.js';
import { InProcessCacheStore } from './in-process-cache.store.js';

/** A store, and how it is disposed of. */
interface Made {
  readonly store: CacheStore;
  close(): Promise<void>;
}

const LEASE_MS = 3_000;
const E = ':k';

/** What every store of the cache promises, whatever keeps its values. */
function describeCacheStore(name: string, make: () => Promise<Made>): void {
  describe(`the cache store (${name})`, () => {
    let made: Made;
    let store: CacheStore;
    let router: PushRouter;
    const tickets: WaitTicket[] = [];
    beforeAll(async () => {
      made = await make();
      ({ store } = made);
      router = new PushRouter(store.inbox, systemClock);
    });
    afterAll(() => made.close());
    beforeEach(() => store.clear());
    afterEach(async () => {
      for (const ticket of tickets.splice(0)) {
        await store.release(E, ticket.token);
        await store.leaveSlot('db', ticket.token, 1);
        router.done(ticket);
      }
      await store.delete(E);
    });

    async function ask(request: Partial<AskRequest> = {}, entry = E): Promise<{ ticket: WaitTicket; answer: Answer }> {
      const ticket = router.expect(store.newToken());
      tickets.push(ticket);
      return { ticket, answer: await store.ask(entry, { ...PLAIN_QUESTION, token: ticket.token, ...request }) };
    }
    async function granted(request: Partial<AskRequest> = {}): Promise<WaitTicket> {
      const { ticket, answer } = await ask(request);
      expect(answer.kind).toBe('load');
      return ticket;
    }
    async function waiting(): Promise<WaitTicket> {
      const { ticket, answer } = await ask();
      expect(answer).toMatchObject({ kind: 'wait', remainingMs: expect.any(Number) });
      return ticket;
    }
    const fill = ({ token }: WaitTicket, text = '"v"', value: Partial<NewValue> = {}): Promise<boolean> =>
      store.fill(E, token, 5, { text, ttlMs: 60_000, staleMs: 0, tags: [], ...value });
    const set = (text: string, value: Partial<NewValue> = {}): Promise<void> =>
      store.set(E, { text, ttlMs: 60_000, staleMs: 0, tags: [], ...value });
    const stored = async (): Promise<string | undefined> => (await store.get(E))?.text;
    const pushed = async (ticket: WaitTicket): Promise<PushedOutcome | string | undefined> => {
      const outcome = await ticket.outcome(5_000);
      return outcome.verb === 'value' ? parseStored(outcome.text)?.text : outcome;
    };
    const stale = async (): Promise<void> => {
      await set('"old"', { ttlMs: 1, staleMs: 60_000 });
      await until(async () => (await stored()) === undefined, { what: 'the value is past its time' });
    };

    it('grants a load to one request, registers the others, and pushes them the value', async () => {
      const loader = await granted();
      const others = [await waiting(), await waiting()];
      expect(await fill(loader)).toBe(true);
      expect(await Promise.all(others.map(pushed))).toEqual(['"v"', '"v"']);
      expect((await ask()).answer).toMatchObject({ kind: 'hit', value: { text: '"v"' }, then: undefined });
    });

    it('fills once per lease', async () => {
      const loader = await granted();
      expect([await fill(loader), await fill(loader, '"again"'), await stored()]).toEqual([true, false, '"v"']);
    });

    it('pushes a value that is only shared, and does not store it', async () => {
      const loader = await granted();
      const other = await waiting();
      expect(await fill(loader, '"v"', { share: true })).toBe(true);
      expect([await pushed(other), await stored()]).toEqual(['"v"', undefined]);
    });

    it('tells an error to those who wait, and to those who ask during the back-off', async () => {
      const loader = await granted();
      const other = await waiting();
      expect(await store.fail(E, loader.token, { name: 'E', message: 'm', backoffMs: 60_000 })).toBe(true);
      expect(await pushed(other)).toMatchObject({ verb: 'error', failure: expect.stringContaining('"m"') });
      expect((await ask()).answer).toMatchObject({ kind: 'error', failure: expect.stringContaining('"m"') });
    });

    it('lets the next request load at once where an error has no back-off', async () => {
      const loader = await granted();
      await store.fail(E, loader.token, { name: 'E', message: 'm', backoffMs: 0 });
      await granted();
    });

    it.each([
      ['delete', () => store.delete(E)],
      ['set', () => set('"set"')],
    ])('voids a load that began before a %s, and tells its loader', async (_, change) => {
      const loader = await granted();
      await change();
      await until(() => loader.invalidated, { what: 'the loader is told' });
      expect(await fill(loader, '"old"')).toBe(false);
      expect(await stored()).not.toBe('"old"');
    });

    it.each([
      ['a tag', (): Promise<void> => store.invalidateTags(['t'])],
      ['everything', (): Promise<void> => store.clear()],
    ])('voids a load that began before %s was invalidated', async (_, invalidate) => {
      const loader = await granted({ tags: ['t'] });
      await invalidate();
      expect([await store.renew(E, loader.token), await fill(loader), await stored()]).toEqual([
        false,
        false,
        undefined,
      ]);
    });

    it('voids a load whose result names a tag that was invalidated meanwhile', async () => {
      const loader = await granted({ hasResultTags: true });
      await store.invalidateTags(['late']);
      expect(await fill(loader, '"v"', { tags: ['late'] })).toBe(false);
    });

    it('hides a value whose tag was invalidated, and keeps the others', async () => {
      await set('"v"', { tags: ['t'] });
      await store.invalidateTags(['other']);
      expect(await stored()).toBe('"v"');
      await store.invalidateTags(['t']);
      expect([await stored(), await store.delete(E)]).toEqual([undefined, false]);
    });

    it('gives a value that is taken to one call', async () => {
      await set('"v"', { tags: ['t'] });
      const taken = await Promise.all([store.take(E), store.take(E), store.take(E)]);
      expect(taken.map((value) => value?.text).sort()).toEqual(['"v"', undefined, undefined]);
      expect(await stored()).toBe(undefined);
      await set('"v"', { tags: ['t'] });
      await store.invalidateTags(['t']);
      expect(await store.take(E)).toBe(undefined);
      await stale();
      expect(await store.take(E)).toBe(undefined);
    });

    it('pushes a value that is set to those who wait for a load', async () => {
      await granted();
      const other = await waiting();
      await set('"set"');
      expect(await pushed(other)).toBe('"set"');
    });

    it('wakes those who wait when a lease is given back, and grants one of them the load', async () => {
      const loader = await granted();
      const other = await waiting();
      expect(await store.release(E, loader.token)).toBe(true);
      expect(await pushed(other)).toEqual({ verb: 'again' });
      expect(await store.release(E, loader.token)).toBe(false);
      await granted();
    });

    it('serves a stale value to those who accept it, with the right to refresh it for one', async () => {
      await stale();
      expect((await ask({ staleMs: 60_000 })).answer).toMatchObject({ kind: 'stale', then: 'load' });
      expect((await ask({ staleMs: 60_000 })).answer).toMatchObject({ kind: 'stale', then: undefined });
      expect((await ask({ staleMs: 60_000, waitForRefresh: true })).answer).toMatchObject({ then: 'wait' });
      expect((await ask()).answer.kind).toBe('wait');
    });

    it('refreshes early when the draw says so', async () => {
      const loader = await granted();
      await fill(loader);
      expect((await ask({ earlyRefreshDraw: 1 })).answer).toMatchObject({ kind: 'hit', then: undefined });
      expect((await ask({ earlyRefreshDraw: 60_000 })).answer).toMatchObject({ kind: 'hit', then: 'load' });
    });

    it('grants as many slots at a source as it has, and wakes the next request when one is free', async () => {
      const limited = { source: 'db', limit: 1 };
      const loader = await granted(limited);
      const { ticket, answer } = await ask(limited, ':other');
      expect(answer.kind).toBe('full');
      await store.leaveSlot('db', loader.token, 1);
      expect(await pushed(ticket)).toEqual({ verb: 'again' });
      const retried = { ...PLAIN_QUESTION, ...limited, token: ticket.token, retryForSlot: true };
      expect((await store.ask(':other', retried)).kind).toBe('load');
      await store.release(':other', ticket.token);
    });

    it('reads a value that it knows without a question', async () => {
      await set('"v"', { tags: ['t'] });
      const seen = { tags: ['t'], chars: 3 };
      await ask();
      expect(await store.tryGet(E, seen)).toMatchObject({ value: { text: '"v"' }, leftMs: expect.any(Number) });
      await store.invalidateTags(['t']);
      expect((await store.tryGet(E, seen)).leftMs).toBeLessThanOrEqual(0);
    });

    it('discards a value', async () => {
      await set('"v"');
      await store.discard(E);
      expect(await stored()).toBe(undefined);
    });
  });
}

let redis: RedisServer | undefined;
describeCacheStore('Redis', async () => {
  redis = await startRedis();
  const connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  const timing = { leaseMs: LEASE_MS, readTimeoutMs: 10_000, packFrom: Infinity };
  const store = new CacheStore(connections.get(), new CacheKeys(connections.keyspace), timing, systemClock);
  const close = async (): Promise<void> => {
    await connections.onApplicationShutdown();
    await redis?.stop();
  };
  return { store, close };
});

describeCacheStore('in process', () => {
  const store = new InProcessCacheStore(systemClock) as unknown as CacheStore;
  return Promise.resolve({ store, close: () => Promise.resolve() });
});
