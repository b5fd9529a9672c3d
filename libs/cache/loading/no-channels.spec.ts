import { expect, it } from '@jest/globals';
import { PLAIN_QUESTION } from '../../../test/support/plain-question.js';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { RedisConnections } from '../../redis/index.js';
import { CacheKeys } from '../store/cache.keys.js';
import { CacheStore } from '../store/cache.store.js';

const bed = new CacheBed();
const REFUSED = expect.objectContaining({ code: 'SLUICE_REDIS_UNAVAILABLE', refusal: 'NOPERM' });

/** What `ACL SETUSER` grants by default since Redis 7: all commands and keys, no channel. */
async function url(): Promise<string> {
  await bed.admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', 'resetchannels');
  return bed.redis.url.replace('redis://', 'redis://app:secret@');
}

/** A store of a process without rights on channels, whose requests are made by hand. */
async function storeWithoutChannels(): Promise<{ store: CacheStore; close: () => Promise<void> }> {
  const connections = await new RedisConnections({ redis: { url: await url() } }).open();
  const timing = { leaseMs: 60_000, readTimeoutMs: 10_000, packFrom: Infinity };
  const store = new CacheStore(connections.get(), new CacheKeys(connections.keyspace), timing, connections.clock);
  return { store, close: () => connections.onApplicationShutdown() };
}

const VALUE = { text: '1', ttlMs: 60_000, staleMs: 0, tags: [] };
const lease = (): Promise<number> => bed.admin.exists('{cache}~lease:k');

it('a user without rights on channels ends loads that others wait for, whatever their outcome', async () => {
  const { store, close } = await storeWithoutChannels();
  const failure = { name: 'Error', message: 'no', backoffMs: 0 };
  const ends: ((token: string) => Promise<unknown>)[] = [
    (token) => store.fail(':k', token, failure),
    (token) => store.release(':k', token),
    (token) => store.fill(':k', token, 1, VALUE),
  ];
  for (const [at, end] of ends.entries()) {
    const token = `load${String(at)}`;
    expect(await store.ask(':k', { ...PLAIN_QUESTION, token })).toMatchObject({ kind: 'load' });
    expect(await store.ask(':k', { ...PLAIN_QUESTION, token: `${token}w` })).toMatchObject({ kind: 'wait' });
    expect(await end(token)).toBe(true);
    expect(await lease()).toBe(0);
  }
  expect((await store.get(':k'))?.text).toBe('1');
  await close();
});

it('and gives a slot of a limited source to those that wait for it', async () => {
  const { store, close } = await storeWithoutChannels();
  const asked = { ...PLAIN_QUESTION, limit: 1 };
  await store.ask(':a', { ...asked, token: 'a' });
  expect(await store.ask(':b', { ...asked, token: 'b' })).toMatchObject({ kind: 'full' });
  await store.leaveSlot('', 'a', 1);
  expect(await store.ask(':b', { ...asked, token: 'b', retryForSlot: true })).toMatchObject({ kind: 'load' });
  await close();
});

it('and learns that what it changed is not announced, when all else is done', async () => {
  const { store, close } = await storeWithoutChannels();
  const changes = [
    () => store.set(':k', VALUE),
    () => store.delete(':k'),
    () => store.invalidateTags(['t']),
    () => store.clear(),
  ];
  for (const change of changes) {
    await bed.admin.flushall();
    await store.ask(':k', { ...PLAIN_QUESTION, token: 'load', tags: ['t'] });
    await expect(change()).rejects.toEqual(REFUSED);
    // Nothing of a load that began before the change is stored.
    expect(await store.fill(':k', 'load', 1, { ...VALUE, text: 'before' })).toBe(false);
    expect((await store.get(':k'))?.text).toBe(change === changes[0] ? '1' : undefined);
  }
  await close();
});

it('and loads what was invalidated while another process loads it', async () => {
  const { store, close } = await storeWithoutChannels();
  const { cache } = await bed.member();
  const asked = { ...PLAIN_QUESTION, tags: ['t'] };
  expect(await store.ask(':k', { ...asked, token: 'before' })).toMatchObject({ kind: 'load' });
  await cache.invalidateTags(['t']);
  // The end of the other load is not announced to its process, which learns it when it stores.
  expect(await store.ask(':k', { ...asked, token: 'after' })).toMatchObject({ kind: 'load' });
  expect(await store.fill(':k', 'before', 1, VALUE)).toBe(false);
  expect(await store.fill(':k', 'after', 1, VALUE)).toBe(true);
  await close();
});

it('and takes nothing, rather than lose it', async () => {
  const { store, close } = await storeWithoutChannels();
  const { cache } = await bed.member();
  await cache.set('code', 1);
  await expect(store.take(':code')).rejects.toEqual(REFUSED);
  expect(await cache.take('code')).toBe(1);
  await close();
});
