import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PLAIN_QUESTION } from '../../../test/support/plain-question.js';
import { Redis } from 'ioredis';
import { keysLeft } from '../../../test/support/cache-bed.js';
import { commandDelta } from '../../../test/support/command-delta.js';
import { SOON_MS, until } from '../../../test/support/until.js';
import { RedisConnections, INBOX_MAX_BYTES } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { CacheKeys } from './cache.keys.js';
import { CacheStore, type NewValue, type AskRequest } from './cache.store.js';
import type { Answer } from './scripts/ask.script.js';
import { parseStored } from './stored-value.js';
import { PushRouter } from '../loading/push-router.js';
import type { PushedOutcome, WaitTicket } from '../loading/wait-ticket.js';

/** No lease ends during a spec, however slow the machine is. */
const LEASE_MS = 600_000;
const SHORT_MS = 200;

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
let store: CacheStore;
/** Its leases end while a spec waits. */
let shortLived: CacheStore;
let pushRouter: PushRouter;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  store = storeWith(LEASE_MS);
  shortLived = storeWith(SHORT_MS);
  pushRouter = new PushRouter(connections.get().inbox, connections.clock);
});
afterAll(async () => {
  await connections.onApplicationShutdown();
  admin.disconnect();
  await redis.stop();
});
beforeEach(() => admin.flushall());
const requests: WaitTicket[] = [];
afterEach(() => {
  for (const ticket of requests.splice(0)) pushRouter.done(ticket);
});

function storeWith(leaseMs: number): CacheStore {
  const keys = new CacheKeys(connections.keyspace);
  const timing = { leaseMs, readTimeoutMs: SOON_MS, packFrom: Infinity };
  return new CacheStore(connections.get(), keys, timing, connections.clock);
}

const entry = (key: string): string => `:${key}`;
const ask = (key: string, token: string, asked: Partial<AskRequest> = {}): Promise<Answer> =>
  store.ask(entry(key), { ...PLAIN_QUESTION, token, ...asked });
const fill = (key: string, token: string, text: string, ttlMs: number, tags: string[] = []): Promise<boolean> =>
  store.fill(entry(key), token, 7, { text, ttlMs, staleMs: 0, tags });
const set = (key: string, text: string, ttlMs: number, more: Partial<NewValue> = {}): Promise<void> =>
  store.set(entry(key), { text, ttlMs, staleMs: 0, tags: [], ...more });
const textOf = async (key: string): Promise<string | undefined> => (await store.get(entry(key)))?.text;
/** An answer without the server's clock. */
const plain = ({ serverMs: _, ...answer }: Answer): object => answer;

function ticket(): WaitTicket {
  const made = pushRouter.expect(store.newToken());
  requests.push(made);
  return made;
}
/** Asks under a new token, which must be granted the load. */
async function granted(key = 'k'): Promise<WaitTicket> {
  const made = ticket();
  expect(plain(await ask(key, made.token))).toEqual({ kind: 'load' });
  return made;
}
/** Asks under a new token, which must be told to wait. */
async function waiting(key = 'k'): Promise<WaitTicket> {
  const made = ticket();
  expect(plain(await ask(key, made.token))).toEqual({ kind: 'wait', remainingMs: expect.any(Number) });
  return made;
}
/** A pushed value without its header. */
const pushedTo = async (of: WaitTicket): Promise<PushedOutcome> => {
  const heard = await of.outcome(SOON_MS);
  return heard.verb === 'value' ? { verb: 'value', text: parseStored(heard.text)?.text ?? 'no header' } : heard;
};
const invalidated = (of: WaitTicket): Promise<boolean> => until(() => of.invalidated, { what: 'its lease is gone' });

describe('ask', () => {
  it('grants the load to one, and tells the others how long its lease lasts', async () => {
    const before = performance.now();
    await granted();
    const answer = await ask('k', ticket().token);
    const passed = performance.now() - before;
    expect(plain(answer)).toEqual({ kind: 'wait', remainingMs: expect.any(Number) });
    const { remainingMs } = answer as unknown as { remainingMs: number };
    expect(remainingMs).toBeLessThanOrEqual(LEASE_MS);
    expect(remainingMs).toBeGreaterThanOrEqual(LEASE_MS - 1 - Math.ceil(passed));
  });

  it('grants a lease that expires', async () => {
    const next = (): Promise<Answer> => shortLived.ask(':k', { ...PLAIN_QUESTION, token: store.newToken() });
    const before = performance.now();
    expect((await next()).kind).toBe('load');
    await until(async () => (await next()).kind === 'load', { what: 'it expires', everyMs: 5 });
    expect(performance.now() - before).toBeGreaterThanOrEqual(SHORT_MS - 1);
  });

  it('knows its own token again, and keeps the lease full', async () => {
    const { token } = await granted();
    const lease = '{cache}~lease:k';
    await admin.pexpire(lease, LEASE_MS / 3);
    expect(plain(await ask('k', token))).toEqual({ kind: 'load' });
    expect(await admin.pttl(lease)).toBeGreaterThan(LEASE_MS / 2);
    expect(await fill('k', token, '1', 1_000)).toBe(true);
  });

  it('registers a waiter once, however often it is resent', async () => {
    const { token } = await granted();
    const waiter = await waiting();
    await ask('k', waiter.token);
    expect(await admin.hkeys('{cache}~lease:k')).toEqual(['token', 'owner', 'epoch', 'tags', `w:${waiter.token}`]);
    expect(await admin.hget('{cache}~lease:k', 'token')).toBe(token);
  });

  it('reads a value with one command that writes nothing', async () => {
    await set('k', '"v"', 60_000);
    await ask('k', store.newToken());
    const { calls } = await commandDelta(admin, () => ask('k', store.newToken()));
    expect(calls).toEqual({ evalsha: 1, get: 2, time: 1 });
    expect(await keysLeft(admin)).toEqual(['{cache}:k']);
  });
});

describe('fill', () => {
  it('stores for its time, ends the lease and pushes the value', async () => {
    const loader = await granted();
    const waiters = [await waiting(), await waiting()];
    const { calls } = await commandDelta(admin, () => fill('k', loader.token, '"ü\0"', 60_000));
    expect(await Promise.all(waiters.map(pushedTo))).toEqual(Array(2).fill({ verb: 'value', text: '"ü\0"' }));
    // Both wait in this process: one message.
    expect(calls['publish']).toBe(1);
    expect(await textOf('k')).toBe('"ü\0"');
    expect(await admin.pttl('{cache}:k')).toBeGreaterThan(30_000);
    expect(await admin.exists('{cache}~lease:k')).toBe(0);
  });

  it('changes nothing the second time', async () => {
    const { token } = await granted();
    expect(await fill('k', token, '1', 1_000)).toBe(true);
    await store.delete(':k');
    expect(await fill('k', token, '1', 1_000)).toBe(false);
    expect(await keysLeft(admin)).toEqual([]);
  });

  it('announces what is too large to push', async () => {
    const [atLimit, above] = ['a'.repeat(INBOX_MAX_BYTES - 100), 'a'.repeat(INBOX_MAX_BYTES + 1)];
    let loader = await granted();
    let waiter = await waiting();
    await fill('k', loader.token, atLimit, 60_000);
    expect(await pushedTo(waiter)).toEqual({ verb: 'value', text: atLimit });
    await store.delete(':k');
    loader = await granted();
    waiter = await waiting();
    await fill('k', loader.token, above, 60_000);
    expect(await pushedTo(waiter)).toEqual({ verb: 'again' });
    expect(await ask('k', store.newToken())).toMatchObject({ kind: 'hit', value: { text: above } });
  });

  it.each<[string, (token: string) => Promise<unknown>]>([
    ['expired and passed on', () => admin.del('{cache}~lease:k').then(() => granted())],
    ['expired', () => admin.del('{cache}~lease:k')],
    ['was voided by delete', () => store.delete(':k')],
    ['was voided by set', () => set('k', '"set"', 1_000)],
    ['was voided and granted anew', () => store.delete(':k').then(() => granted())],
    ['was given back', (token) => store.release(':k', token)],
    ['ended in an error', (token) => store.fail(':k', token, { name: 'E', message: 'm', backoffMs: 60_000 })],
  ])('stores nothing if its lease %s', async (_how, lose) => {
    const { token } = await granted();
    await lose(token);
    const before = await admin.get('{cache}:k');
    const lease = await admin.hgetall('{cache}~lease:k');
    expect(await fill('k', token, '"late"', 1_000)).toBe(false);
    expect(await admin.get('{cache}:k')).toBe(before);
    expect(await admin.hgetall('{cache}~lease:k')).toEqual(lease);
  });
});

describe('fail', () => {
  const failure = { name: 'Error', message: 'down', code: 'E_DB', backoffMs: 60_000 };

  it('tells who waits, and who asks', async () => {
    const loader = await granted();
    const waiter = await waiting();
    expect(await store.fail(':k', loader.token, failure)).toBe(true);
    expect(await pushedTo(waiter)).toEqual({ verb: 'error', failure: JSON.stringify(failure) });
    const answer = await ask('k', store.newToken());
    expect(plain(answer)).toEqual({ kind: 'error', failure: JSON.stringify(failure), remainingMs: expect.any(Number) });
    const { remainingMs } = answer as unknown as { remainingMs: number };
    expect(remainingMs).toBeLessThanOrEqual(60_000);
    expect(remainingMs).toBeGreaterThan(0);
  });

  it('backs off for its time', async () => {
    const { token } = await granted();
    const before = performance.now();
    await store.fail(':k', token, { ...failure, backoffMs: 100 });
    await until(async () => (await ask('k', store.newToken())).kind === 'load', { what: 'the back-off ends' });
    expect(performance.now() - before).toBeGreaterThanOrEqual(99);
  });

  it('backs off not at all with 0', async () => {
    const loader = await granted();
    const waiter = await waiting();
    await store.fail(':k', loader.token, { ...failure, backoffMs: 0 });
    expect((await pushedTo(waiter)).verb).toBe('error');
    await granted();
  });

  it('changes nothing once its lease is lost', async () => {
    const { token } = await granted();
    await store.delete(':k');
    const successor = await granted();
    const waiter = await waiting();
    expect(await store.fail(':k', token, failure)).toBe(false);
    expect(await fill('k', successor.token, '1', 1_000)).toBe(true);
    expect((await pushedTo(waiter)).verb).toBe('value');
  });

  it('is over once the key is set or deleted', async () => {
    for (const [key, end] of [
      ['a', () => store.delete(':a')],
      ['b', () => set('b', '1', 60_000)],
    ] as const) {
      const { token } = await granted(key);
      await store.fail(entry(key), token, failure);
      await end();
      expect((await ask(key, store.newToken())).kind).not.toBe('error');
    }
  });
});

describe('renew and release', () => {
  it('extends its own lease and no other', async () => {
    const { token } = await granted();
    await admin.pexpire('{cache}~lease:k', LEASE_MS / 3);
    expect(await store.renew(':k', token)).toBe(true);
    expect(await admin.pttl('{cache}~lease:k')).toBeGreaterThan(LEASE_MS / 2);
    await store.delete(':k');
    expect(await store.renew(':k', token)).toBe(false);
    await granted();
    await admin.pexpire('{cache}~lease:k', LEASE_MS / 3);
    expect(await store.renew(':k', token)).toBe(false);
    expect(await admin.pttl('{cache}~lease:k')).toBeLessThanOrEqual(LEASE_MS / 3);
  });

  it('gives back its own lease and no other, and has the waiters ask again', async () => {
    const loader = await granted();
    const waiter = await waiting();
    expect(await store.release(':k', waiter.token)).toBe(false);
    expect(await store.release(':k', loader.token)).toBe(true);
    expect(await pushedTo(waiter)).toEqual({ verb: 'again' });
    expect(await store.release(':k', loader.token)).toBe(false);
    await granted();
  });
});

describe('a place in the queue of a source', () => {
  const limited = { source: 'db', limit: 1 };
  const queue = '{cache}~queue:db';

  it('is left by who is told of a stale value, when it asks again, and by who waits no more', async () => {
    await ask('busy', store.newToken(), limited);
    const [first, second] = [store.newToken(), store.newToken()];
    for (const token of [first, second]) expect((await ask('k', token, limited)).kind).toBe('full');
    expect(await admin.zcard(queue)).toBe(2);
    await store.set(':k', { text: '1', ttlMs: 1, staleMs: 60_000, tags: [] });
    await until(async () => (await store.get(':k')) === undefined, { what: 'it is stale', everyMs: 2 });
    expect((await ask('k', first, { ...limited, staleMs: 60_000, retryForSlot: true })).kind).toBe('stale');
    expect(await admin.zrange(queue, '0', '-1')).toEqual([`${second} ${connections.get().inbox.channel}`]);
    await store.leaveSlot('db', second, 1);
    expect(await admin.exists(queue)).toBe(0);
  });

  it('that is left passes a free slot on', async () => {
    const holder = store.newToken();
    await ask('busy', holder, limited);
    const [ghost, next] = [store.newToken(), pushRouter.expect(store.newToken())];
    requests.push(next);
    for (const token of [ghost, next.token]) await ask(token, token, limited);
    await admin.del('{cache}~slots:db');
    await store.leaveSlot('db', ghost, 1);
    expect(await pushedTo(next)).toEqual({ verb: 'again' });
  });
});

describe('set and delete', () => {
  it('void a load that runs: its process is told, and who waits is served', async () => {
    let loader = await granted();
    let waiter = await waiting();
    await set('k', '"set"', 60_000);
    await invalidated(loader);
    expect(await pushedTo(waiter)).toEqual({ verb: 'value', text: '"set"' });
    expect(await admin.pttl('{cache}:k')).toBeGreaterThan(30_000);
    expect(await store.delete(':k')).toBe(true);
    loader = await granted();
    waiter = await waiting();
    expect(await store.delete(':k')).toBe(false);
    await invalidated(loader);
    expect(await pushedTo(waiter)).toEqual({ verb: 'again' });
    expect(await keysLeft(admin)).toEqual([]);
  });
});
