import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { cacheMember, type CacheMember } from '../../../test/support/cache-member.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { SOON_MS, until } from '../../../test/support/until.js';
import { FaultProxy, startRedis, type RedisServer } from '../../testing/index.js';

const HOUR_MS = 3_600_000;

let first: RedisServer;
let second: RedisServer;
let admins: [Redis, Redis];
/** An address that leads to the primary. */
let address: FaultProxy;
const members: CacheMember[] = [];
beforeEach(async () => {
  [first, second] = await Promise.all([startRedis(), startRedis()]);
  admins = [new Redis(first.url), new Redis(second.url)];
  address = await FaultProxy.to(first.port);
});
afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.close()));
  for (const admin of admins) admin.disconnect();
  await address.close();
  await Promise.all([first.stop(), second.stop()]);
});

async function member(url: string, clock?: ManualClock): Promise<CacheMember> {
  const one = await cacheMember({
    redis: { url },
    ttlMs: HOUR_MS,
    earlyRefresh: 0,
    jitter: 0,
    ...(clock && { clock }),
  });
  members.push(one);
  return one;
}

/** The second server gets what the first one has now. */
async function replicate(): Promise<void> {
  const [from, to] = admins;
  for (const key of await from.keys('*')) {
    const lifeMs = Math.max(0, await from.pttl(key));
    await to.restore(key, lifeMs, await from.dumpBuffer(key), 'REPLACE');
  }
}

/** The commands lead to the second server: what the first one has taken since `replicate` is lost. */
async function failOver(): Promise<void> {
  address.leadTo(second.port);
  await admins[0].call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
}

const KEY = 'k';
const load = ({ cache }: CacheMember, value: string): Promise<string> =>
  cache.getOrLoad(KEY, () => value, { tags: ['t'] });
/** What a process that has always been at the second server reads there. */
const readElsewhere = async (elsewhere: CacheMember): Promise<string | undefined> => elsewhere.cache.get(KEY);

describe('an invalidation that a failover has lost', () => {
  it.each([
    ['delete', ({ cache }: CacheMember) => cache.delete(KEY)],
    ['take', ({ cache }: CacheMember) => cache.take(KEY)],
    ['invalidateTags', ({ cache }: CacheMember) => cache.invalidateTags('t')],
    ['clear', ({ cache }: CacheMember) => cache.clear()],
  ])('is repeated at the new primary: %s', async (_what, invalidate) => {
    const [writer, elsewhere] = [await member(address.url), await member(second.url)];
    await load(writer, 'old');
    await replicate();
    await invalidate(writer);
    expect(await readElsewhere(elsewhere)).toBe('old');
    await failOver();
    await until(async () => (await readElsewhere(elsewhere)) === undefined, {
      what: 'it is gone',
      deadlineMs: SOON_MS,
    });
    // Once: what is loaded after it stays.
    expect(await load(elsewhere, 'new')).toBe('new');
    expect(await load(writer, 'newer')).toBe('new');
  });

  it('is repeated with the next connect, if the new primary is gone at once', async () => {
    // The user of whom the right to run scripts is taken, whoever the others log in as.
    const url = address.url.replace('://', '://default:any@');
    const [writer, elsewhere] = [await member(url), await member(second.url)];
    await load(writer, 'old');
    await replicate();
    await writer.cache.delete(KEY);
    expect(await readElsewhere(elsewhere)).toBe('old');
    expect(await admins[1].exists(`{cache}:${KEY}`)).toBe(1);
    await admins[1].call('ACL', 'SETUSER', 'default', '-evalsha', '-eval');
    await failOver();
    const denied = async (): Promise<string> => String(await admins[1].call('ACL', 'LOG'));
    await until(async () => (await denied()).includes('evalsha'), { what: 'the repeat is refused' });
    await admins[1].call('ACL', 'SETUSER', 'default', '+evalsha', '+eval');
    await admins[1].call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    // The other process has lost its socket as well: it would read nothing in any case.
    await until(async () => (await admins[1].exists(`{cache}:${KEY}`)) === 0, {
      what: 'it is gone',
      deadlineMs: SOON_MS,
    });
  });
});

describe('a value stays', () => {
  /** Fails over with something else that is repeated: when that is gone, the repeat is over. */
  async function failedOver(writer: CacheMember, elsewhere: CacheMember): Promise<void> {
    await elsewhere.cache.set('last', 'old');
    await writer.cache.delete('last');
    await failOver();
    await until(async () => (await elsewhere.cache.get('last')) === undefined, { what: 'the repeat is over' });
  }

  it('that the same process has stored since', async () => {
    const [writer, elsewhere] = [await member(address.url), await member(second.url)];
    await writer.cache.delete(KEY);
    await writer.cache.set(KEY, 'new');
    await replicate();
    await failedOver(writer, elsewhere);
    expect(await readElsewhere(elsewhere)).toBe('new');
  });

  it('whose invalidation is half a minute old', async () => {
    const clock = new ManualClock();
    const [writer, elsewhere] = [await member(address.url, clock), await member(second.url)];
    await writer.cache.delete(KEY);
    await elsewhere.cache.set(KEY, 'new');
    clock.jump(30_000);
    await until(async () => (await writer.cache.get('any')) === undefined, { what: 'it is well' });
    await failedOver(writer, elsewhere);
    expect(await readElsewhere(elsewhere)).toBe('new');
  });

  it('when only the socket was lost: the server has executed everything', async () => {
    const [writer, other] = [await member(address.url), await member(first.url)];
    await writer.cache.delete(KEY);
    await other.cache.set(KEY, 'new');
    const { commands } = writer.connections.get();
    commands.reset();
    await until(() => commands.up, { what: 'it is connected again' });
    await writer.connections.get().info();
    // Sent after a repeat would have been.
    await writer.cache.delete('last');
    expect(await readElsewhere(other)).toBe('new');
  });
});
