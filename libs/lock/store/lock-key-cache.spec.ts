import { expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { Keyspace } from '../../redis/index.js';
import { LockKeyCache } from './lock-key-cache.js';

const bed = new LockBed();

it('remembers a bounded number of names, those used last', () => {
  const known = new LockKeyCache(new Keyspace(), 4);
  const a = known.get('a');
  a.highest = 7;
  for (const name of ['b', 'c', 'a', 'd', 'e']) known.get(name);
  expect(known.get('a')).toBe(a);
  for (const name of ['f', 'g', 'h', 'i', 'j']) known.get(name);
  expect(known.get('a').highest).toBe(0);
});

it('never sees a token fall back, though Redis lost its data and its clock was set back at once', async () => {
  const [a, b] = [await bed.service(), await bed.service()];
  // A clock that was an hour ahead until now.
  const ahead = Date.now() * 1_000 + 3_600_000_000;
  await bed.admin.set('{lock:x}:~fence', String(ahead));
  const seen = await (await a.acquire('x')).release().then(() => a.withLock('x', (lock) => lock.fencingToken));
  expect(seen).toBeGreaterThan(ahead);
  await bed.admin.flushall();
  const holder = await b.acquire('x');
  expect(holder.fencingToken).toBeLessThan(ahead);
  // Also when it is granted by another process' release.
  const waiter = a.acquire('x');
  await bed.waiting(1);
  await holder.release();
  const pushed = await waiter;
  expect(pushed.fencingToken).toBeGreaterThan(seen);
  await pushed.release();
  await bed.admin.flushall();
  expect((await a.acquire('x')).fencingToken).toBeGreaterThan(pushed.fencingToken);
});

it('keeps the fence beyond a lease of any length', async () => {
  const locks = await bed.service();
  await locks.acquire('x', { ttlMs: 20_000_000 });
  expect(await bed.admin.pttl('{lock:x}:~fence')).toBeGreaterThan(23_000_000);
});

it('counts characters as well: long names do not fill the memory', () => {
  const known = new LockKeyCache(new Keyspace());
  known.get('first').highest = 7;
  for (let n = 0; n < 9_000; n++) known.get(`short ${n}`);
  expect(known.get('first').highest).toBe(7);
  for (let n = 0; n < 3_000; n++) known.get(String(n).padStart(1_000, 'n'));
  expect(known.get('first').highest).toBe(0);
});
