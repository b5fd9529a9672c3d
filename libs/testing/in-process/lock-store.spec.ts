import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { until } from '../../../test/support/until.js';
import type { LockRequest } from '../../lock/store/lock-request.js';
import { lockKeys } from '../../lock/store/lock.keys.js';
import { LockStore, type ForcedRelease, type PushedGrant, type Tick } from '../../lock/store/lock.store.js';
import { noncePrefix } from '../../lock/store/owner.js';
import {
  Keyspace,
  REDIS_CONNECTIONS,
  SluiceRedisModule,
  systemClock,
  type RedisConnections,
} from '../../redis/index.js';
import { startRedis, type RedisServer } from '../index.js';
import { InProcessLockStore } from './in-process-lock.store.js';

/** A lock store, and what it needs to be called as `LockService` calls it. */
interface LockStoreUnderTest {
  readonly store: Pick<LockStore, keyof LockStore>;
  readonly keyspace: Keyspace;
  /** `host:pid:start` of the process that the store speaks for. */
  readonly processId: string;
}

/** Long enough for a slow machine: no spec waits for the end of such a lease. */
const LONG_MS = 600_000;
/** The end of such a lease is waited for. */
const SHORT_MS = 40;

/** What every store of locks promises, on Redis or in the process. `make` returns an empty store. */
function describeLockStore(name: string, make: () => Promise<LockStoreUnderTest>): void {
  describe(`lock store: ${name}`, () => {
    it('grants a free lock, and tells others who holds it', async () => {
      const { store, request, holderOf } = await setUp(make);
      const [first, second] = [request(), request()];
      const token = await granted(store.attempt(first));
      expect(await store.attempt(second)).toMatchObject({ state: 'busy', holder: holderOf(first, token) });
      expect(await store.inspect(first.keys)).toMatchObject({ holder: holderOf(first, token), waiting: 0 });
      expect(await store.releasePlain(first)).toEqual({ released: true, unsettled: false });
      expect(await store.inspect(first.keys)).toBeNull();
      expect(await granted(store.attempt(second))).toBeGreaterThan(token);
    });

    it('gives the same answer to a request that is sent again', async () => {
      const { store, request } = await setUp(make);
      const [holder, waiter] = [request(), request({ owner: 'worker' })];
      const token = await granted(store.join(holder, LONG_MS));
      expect(await granted(store.join(holder, LONG_MS))).toBe(token);
      await store.join(waiter, LONG_MS);
      await store.join(waiter, LONG_MS);
      expect(await store.inspect(holder.keys)).toMatchObject({ waiting: 1, waiters: [{ owner: 'worker' }] });
    });

    it('keeps two acquisitions of one owner apart', async () => {
      const { store, request } = await setUp(make);
      const [first, second] = [request({ owner: 'me' }), request({ owner: 'me' })];
      await granted(store.attempt(first));
      expect(await store.attempt(second)).toMatchObject({ state: 'busy', holder: { owner: 'me' } });
      expect(await store.release(second, 0)).toMatchObject({ released: false, holder: { owner: 'me' } });
      expect(await store.renew(second, LONG_MS, 0, LONG_MS)).toBe(false);
      expect(await store.release(first, 0)).toMatchObject({ released: true });
    });

    it('hands a released lock to the waiters in the order of arrival', async () => {
      const { store, request, pushed } = await setUp(make);
      const [holder, first, second] = [request(), request(), request()];
      const token = await granted(store.attempt(holder));
      expect(await store.join(first, LONG_MS)).toMatchObject({ state: 'busy' });
      expect(await store.join(second, LONG_MS)).toMatchObject({ state: 'busy' });
      await store.releasePlain(holder);
      const push = await pushed(0);
      expect(push.identity).toMatchObject({ nonce: first.nonce, owner: first.owner });
      expect(push.identity.keys.lock).toBe(holder.keys.lock);
      expect(push.token).toBeGreaterThan(token);
      expect(push.validMs).toBeGreaterThan(0);
      expect(await store.attempt(request())).toMatchObject({ state: 'busy', holder: { owner: first.owner } });
      expect(await store.renew(first, LONG_MS, 0, LONG_MS)).toBe(true);
      await store.releasePlain(first);
      expect((await pushed(1)).identity.nonce).toBe(second.nonce);
    });

    it('tells a waiter by its heartbeat what it was granted', async () => {
      const { store, request } = await setUp(make);
      const [holder, waiter, other] = [request(), request(), request()];
      await granted(store.attempt(holder));
      await store.join(waiter, LONG_MS);
      await store.join(other, LONG_MS);
      expect(await store.renew(holder, SHORT_MS, 1, LONG_MS)).toBe(true);
      const waiting = [{ keys: holder.keys, waiters: [waiter, other].map((each) => ({ request: each, place: '0' })) }];
      const beat = () => store.heartbeat(() => waiting);
      await until(async () => (await beat())[0]?.granted?.nonce === waiter.nonce, { what: 'the lease has ended' });
      // Repeated: it still holds the lock.
      expect((await beat())[0]).toMatchObject({ granted: { nonce: waiter.nonce }, unsettled: false });
      await store.releasePlain(waiter);
      expect((await beat())[0]).toMatchObject({ granted: { nonce: other.nonce } });
    });

    it('forgets a waiter that leaves', async () => {
      const { store, request } = await setUp(make);
      const [holder, waiter] = [request(), request()];
      const token = await granted(store.attempt(holder));
      await store.join(waiter, LONG_MS);
      const left = await store.release(waiter, 0);
      expect(left).toMatchObject({ released: false, holder: { owner: holder.owner, fencingToken: token } });
      expect(await store.inspect(holder.keys)).toMatchObject({ waiting: 0 });
    });

    it('renews for the holder alone, and never what has ended', async () => {
      const { store, request } = await setUp(make);
      const [holder, other] = [request(), request()];
      await granted(store.attempt(holder));
      expect(await store.renew(holder, LONG_MS, 1, LONG_MS)).toBe(true);
      expect(await store.renew(other, LONG_MS, 1, LONG_MS)).toBe(false);
      // An older renewal that arrives late changes nothing.
      expect(await store.renew(holder, SHORT_MS, 0, LONG_MS)).toBe(true);
      expect((await store.inspect(holder.keys))?.ttlMs).toBeGreaterThan(LONG_MS / 2);
      expect(await store.renew(holder, SHORT_MS, 2, LONG_MS)).toBe(true);
      await until(async () => (await store.inspect(holder.keys)) === null, { what: 'the lease has ended' });
      expect(await store.renew(holder, LONG_MS, 3, LONG_MS)).toBe(false);
      expect(await store.release(holder, 0)).toMatchObject({ released: false });
    });

    it('keeps a lock held for its least time, whatever is renewed or released afterwards', async () => {
      const { store, request } = await setUp(make);
      const holder = request();
      await granted(store.attempt(holder));
      expect(await store.release(holder, LONG_MS)).toMatchObject({ released: true });
      expect(await store.attempt(request())).toMatchObject({ state: 'busy' });
      expect(await store.release(holder, undefined)).toMatchObject({ released: true });
      expect(await store.attempt(request())).toMatchObject({ state: 'busy' });
    });

    it('takes a tick once, and an older one never', async () => {
      const { store, request } = await setUp(make);
      const tick = (instantMs: number, method = 'Jobs.run'): Tick => ({ method, instantMs, keepMs: LONG_MS });
      const take = async (which: Tick): Promise<string> => {
        const taker = request();
        const { state } = await store.attemptTick(taker, which);
        if (state === 'granted') expect(await store.beginTick(taker, which)).toBe(true);
        await store.release(taker, 0);
        return state;
      };
      expect([await take(tick(2_000)), await take(tick(2_000)), await take(tick(1_000))]).toEqual([
        'granted',
        'done',
        'done',
      ]);
      expect([await take(tick(3_000)), await take(tick(2_000, 'Jobs.other'))]).toEqual(['granted', 'granted']);
      await granted(store.attempt(request()));
      expect(await take(tick(4_000))).toBe('busy');
    });

    it('gives a tick whose run has not begun to another, when its grant has ended', async () => {
      const { store, request } = await setUp(make);
      const tick: Tick = { method: 'Jobs.run', instantMs: 2_000, keepMs: LONG_MS };
      const [first, second, late] = [request(), request(), request()];
      expect(await store.attemptTick(first, tick)).toMatchObject({ state: 'granted' });
      expect(await store.attemptTick(second, tick)).toEqual({ state: 'pending' });
      expect(await store.attemptTick(late, { ...tick, instantMs: 1_000 })).toEqual({ state: 'done' });
      expect(await store.beginTick(second, tick)).toBe(false);
      await store.release(first, 0);
      expect(await store.attemptTick(second, tick)).toMatchObject({ state: 'granted' });
      expect(await store.beginTick(first, tick)).toBe(false);
      expect(await store.beginTick(second, tick)).toBe(true);
      // Sent again.
      expect(await store.beginTick(second, tick)).toBe(true);
      expect(await store.attemptTick(late, tick)).toEqual({ state: 'done' });
      expect((await store.inspect(second.keys))?.ttlMs).toBeGreaterThan(LONG_MS / 2);
      await store.release(second, 0);
      // Executed late, when the run is over.
      expect(await store.attemptTick(second, tick)).toEqual({ state: 'done' });
      expect(await store.attemptTick(late, tick)).toEqual({ state: 'done' });
    });

    it('takes a lock away by force, tells its process and hands it over', async () => {
      const { store, request, pushed, forced, holderOf } = await setUp(make);
      const [holder, waiter] = [request(), request()];
      const token = await granted(store.attempt(holder));
      await store.join(waiter, LONG_MS);
      expect(await store.forceRelease(holder.keys)).toEqual(holderOf(holder, token));
      expect(await forced(0)).toEqual({ nonce: holder.nonce, token });
      expect((await pushed(0)).token).toBeGreaterThan(token);
      expect(await store.renew(holder, LONG_MS, 0, LONG_MS)).toBe(false);
      await store.releasePlain(waiter);
      expect(await store.forceRelease(holder.keys)).toBeUndefined();
    });

    it('excludes clients of the plain recipe, and is excluded by them', async () => {
      const { store, request } = await setUp(make);
      const ours = request();
      const { lock } = ours.keys;
      expect(await store.rawAcquire(lock, 'cli', LONG_MS)).toBe(true);
      expect(await store.attempt(ours)).toMatchObject({ state: 'busy', holder: { owner: 'cli' } });
      expect([await store.rawExtend(lock, 'cli', LONG_MS), await store.rawExtend(lock, 'other', 1)]).toEqual([
        true,
        false,
      ]);
      expect([await store.rawRelease(lock, 'other'), await store.rawRelease(lock, 'cli')]).toEqual([false, true]);
      await granted(store.attempt(ours));
      expect(await store.rawAcquire(lock, 'cli', LONG_MS)).toBe(false);
    });

    it('refuses the fenced writes of an older token', async () => {
      const { store } = await setUp(make);
      const key = { key: 'a', fenced: '{a}:~fenced' };
      const write = (token: number) => store.fencedSet(key, { token, value: 'v', ttlMs: undefined, keepMs: LONG_MS });
      expect([await write(7), await write(7), await write(6)]).toEqual([undefined, undefined, 7]);
      expect(await store.fencedDelete(key, { token: 8, keepMs: LONG_MS })).toBeUndefined();
      expect(await write(7)).toBe(8);
    });
  });
}

/** The token of an answer that must be a grant. */
async function granted(answer: ReturnType<LockStore['attempt']>): Promise<number> {
  const acquired = await answer;
  if (acquired.state !== 'granted') throw new Error(`the lock is ${acquired.state}`);
  return acquired.token;
}

let services = 0;

async function setUp(make: () => Promise<LockStoreUnderTest>) {
  const { store, keyspace, processId } = await make();
  const prefix = noncePrefix(processId, String(++services).padStart(8, '0'));
  const keys = { ...lockKeys(keyspace, 'x'), highest: 0, floor: '0' };
  let acquisitions = 0;
  const grants: PushedGrant[] = [];
  const forces: ForcedRelease[] = [];
  store.onPush((grant) => grants.push(grant));
  store.onForced((what) => forces.push(what));
  const nth = async <T>(list: readonly T[], n: number, what: string): Promise<T> => {
    await until(() => list.length > n, { what });
    return list[n]!;
  };
  return {
    store,
    request: ({ owner }: { owner?: string } = {}): LockRequest => {
      const nonce = prefix + String(++acquisitions);
      return {
        name: 'x',
        keys,
        nonce,
        owner: owner ?? nonce,
        ttlMs: LONG_MS,
        renew: true,
        minHoldMs: 0,
        maxHoldMs: Infinity,
      };
    },
    pushed: (n: number) => nth(grants, n, `push ${n}`),
    forced: (n: number) => nth(forces, n, `forced release ${n}`),
    holderOf: ({ owner }: LockRequest, fencingToken: number) => ({
      owner,
      process: processId,
      since: new Date(fencingToken / 1_000),
      fencingToken,
    }),
  };
}

describe('on Redis', () => {
  let redis: RedisServer;
  let app: INestApplicationContext;

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterEach(() => app.close());
  afterAll(() => redis.stop());

  describeLockStore('Redis', async () => {
    const module = SluiceRedisModule.forRoot({ redis: { url: redis.url } });
    app = await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false });
    const connections = app.get<RedisConnections>(REDIS_CONNECTIONS);
    const { keyspace, processId } = connections;
    const connection = connections.get();
    await connection.commands.send('flushall');
    const { channel } = connection.inbox;
    const heard = async (): Promise<unknown> =>
      (await connection.commands.send<unknown[]>('pubsub', ['numsub', channel]))[1];
    await until(async () => (await heard()) === 1, { what: 'the inbox is subscribed' });
    return { store: new LockStore(connection, keyspace), keyspace, processId };
  });
});

const processId = 'host:1:0-0123456789ab';
describeLockStore('in process', () =>
  Promise.resolve({ store: new InProcessLockStore(systemClock, processId), keyspace: new Keyspace(), processId }),
);
