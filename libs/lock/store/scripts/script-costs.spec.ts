import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from '@jest/globals';
import { ScriptBed } from '../../../../test/support/script-bed.js';
import { growthOf, scriptNames, type Growth, type Prepare } from '../../../../test/support/script-costs.js';
import { unheard } from '../../../../test/support/unheard.js';
import type { CachedLockKeys } from '../lock-key-cache.js';
import { lockKeys } from '../lock.keys.js';
import type { LockRequest } from '../lock-request.js';
import { LockStore, type Tick } from '../lock.store.js';

const bed = new ScriptBed();
let store: LockStore;
beforeAll(() => {
  store = new LockStore(bed.connection, bed.connections.keyspace);
});

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

function keysOf(name: string): CachedLockKeys {
  return { ...lockKeys(bed.connections.keyspace, name), floor: '0' } as CachedLockKeys;
}

function request(nonce: string, name = 'x'): LockRequest {
  const limits = { renew: false, minHoldMs: 0, maxHoldMs: Infinity };
  return { name, keys: keysOf(name), nonce, owner: nonce, ttlMs: 60_000, ...limits };
}

/** A lock is held, and `n` requests wait for it, of processes that have died. */
async function waiting(n: number, holder = request('holder')): Promise<LockRequest> {
  await store.attempt(holder);
  await Promise.all(count(n).map((i) => store.join(request(`waiter-${i}`), 60_000)));
  const waiters = '{lock:x}:~waiters';
  const told = Object.entries(await bed.admin.hgetall(waiters));
  const { channel } = bed.connection.inbox;
  const inbox = unheard();
  for (const [nonce, text] of told)
    await bed.admin.hset(waiters, nonce, text.replace(`${channel.length} ${channel}`, `${inbox.length} ${inbox}`));
  return holder;
}

const tick = (instantMs: number): Tick => ({ method: 'Jobs.run', instantMs, keepMs: 60_000 });

const looked = new Set<string>();

/** The commands of a script against the number of something, from `from` on. */
function grows(name: string, of: string, growth: Growth, prepare: Prepare, from = 20): void {
  looked.add(name);
  it(`${name} is ${growth} in the number of ${of}`, async () => {
    expect(await growthOf(bed.admin, from, prepare)).toBe(growth);
  });
}

grows('lock:acquire', 'requests that wait', 'bounded', async (n) => {
  await waiting(n);
  return () => store.join(request('another'), 60_000);
});

// A call looks at 64 dead waiters, and no more.
grows(
  'lock:acquire',
  'waiters that are dead',
  'bounded',
  async (n) => {
    const { keys } = await waiting(n);
    await bed.admin.del(keys.lock);
    return () => store.join(request('another'), 60_000);
  },
  70,
);

grows(
  'lock:release',
  'waiters that are dead',
  'bounded',
  async (n) => {
    const holder = await waiting(n);
    return () => store.release(holder, 0);
  },
  70,
);

grows(
  'lock:force-release',
  'waiters that are dead',
  'bounded',
  async (n) => {
    const { keys } = await waiting(n);
    return () => store.forceRelease(keys);
  },
  70,
);

grows(
  'lock:inspect',
  'requests that wait',
  'bounded',
  async (n) => {
    const { keys } = await waiting(n);
    return () => store.inspect(keys);
  },
  110,
);

grows('lock:heartbeat', 'waiters of the process', 'linear', async (n) => {
  const { keys } = await waiting(n);
  const waiters = count(n).map((i) => ({ request: request(`waiter-${i}`), place: '0' }));
  return () => store.heartbeat(() => [{ keys, waiters }]);
});

grows('lock:heartbeat', 'locks that the process waits for', 'linear', async (n) => {
  // One call names locks of one slot only.
  const names = count(n).map((i) => `{x}${i}`);
  await Promise.all(names.map((name) => store.attempt(request('holder', name))));
  const locks = names.map((name) => {
    const one = request('waiter', name);
    return { keys: one.keys, waiters: [{ request: one, place: '0' }] };
  });
  return () => store.heartbeat(() => locks);
});

grows('lock:renew', 'requests that wait', 'bounded', async (n) => {
  const holder = await waiting(n);
  return () => store.renew(holder, 60_000, 1, 60_000);
});

grows('lock:acquire-tick', 'earlier ticks', 'bounded', async (n) => {
  for (const i of count(n)) {
    const one = request(`run-${i}`);
    await store.attemptTick(one, tick(i));
    await store.beginTick(one, tick(i));
    await store.release(one, 0);
  }
  return () => store.attemptTick(request('run'), tick(n));
});

grows('lock:begin-tick', 'requests that wait', 'bounded', async (n) => {
  const one = request('run');
  await store.attemptTick(one, tick(1));
  await waiting(n, one);
  return () => store.beginTick(one, tick(1));
});

const fenced = { key: 'key', fenced: '{key}:~fenced' };

grows('lock:fenced-set', 'earlier writes', 'bounded', async (n) => {
  const write = (token: number): Promise<unknown> =>
    store.fencedSet(fenced, { token, value: 'v', ttlMs: 60_000, keepMs: 60_000 });
  for (const i of count(n)) await write(i + 1);
  return () => write(n + 1);
});

grows('lock:fenced-delete', 'earlier writes', 'bounded', async (n) => {
  const write = (token: number): Promise<unknown> => store.fencedDelete(fenced, { token, keepMs: 60_000 });
  for (const i of count(n)) await write(i + 1);
  return () => write(n + 1);
});

grows('lock:raw-release', 'requests that wait', 'bounded', async (n) => {
  const { keys, owner } = await waiting(n);
  return () => store.rawRelease(keys.lock, owner);
});

grows('lock:raw-extend', 'requests that wait', 'bounded', async (n) => {
  const { keys, owner } = await waiting(n);
  return () => store.rawExtend(keys.lock, owner, 60_000);
});

it('all scripts were looked at', () => {
  expect([...looked].sort()).toEqual(scriptNames(dirname(fileURLToPath(import.meta.url))));
});
