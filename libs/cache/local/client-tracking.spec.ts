import { describe, expect } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import type { CacheMember } from '../../../test/support/cache-member.js';
import { itWith } from '../../../test/support/refused-commands.js';
import { SOON_MS, until } from '../../../test/support/until.js';

const bed = new CacheBed();
const it = itWith(['client|id', 'client|tracking']);

/** A process that answers the key from its local tier. */
async function warmed({ tracking = true } = {}): Promise<CacheMember> {
  const member = await bed.member({ local: { tracking } });
  await answers(member);
  return member;
}

async function answers({ cache }: CacheMember): Promise<void> {
  await until(
    async () => {
      const { local } = cache.stats().total.hits;
      await cache.getOrLoad('k', () => 'old');
      return cache.stats().total.hits.local > local;
    },
    { what: 'it answers locally' },
  );
}

const fresh = ({ cache }: CacheMember, deadlineMs = SOON_MS): Promise<unknown> =>
  until(async () => (await cache.getOrLoad('k', () => 'new')) === 'new', {
    what: 'it reads fresh',
    everyMs: 2,
    deadlineMs,
  });

describe('client tracking', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['DEL', () => bed.admin.del('{cache}:k')],
    ['UNLINK', () => bed.admin.unlink('{cache}:k')],
    ['FLUSHALL', () => bed.admin.flushall()],
    ['FLUSHDB', () => bed.admin.flushdb()],
    ['an expiry', () => bed.admin.pexpire('{cache}:k', 1)],
  ])('brings %s to every process', async (_what, change) => {
    const members = [await warmed(), await warmed()];
    await change();
    for (const member of members) await fresh(member);
  });

  it('brings an eviction', async () => {
    const member = await warmed();
    await bed.admin.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-random');
    await bed.admin.call('CONFIG', 'SET', 'maxmemory', '1');
    // What evicts is the next command that may write.
    await until(
      async () => (await bed.admin.set('x', 1).catch(() => 0)) !== 0 || (await bed.admin.exists('{cache}:k')) === 0,
      { what: 'eviction' },
    );
    await bed.admin.call('CONFIG', 'SET', 'maxmemory', '0');
    await bed.admin.call('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await fresh(member);
  });

  it('is not there unless asked for', async () => {
    const member = await warmed({ tracking: false });
    await bed.admin.del('{cache}:k');
    expect(await member.cache.getOrLoad('k', () => 'new')).toBe('old');
  });

  it('bypasses the tier while its socket is away, and tracks again', async () => {
    const member = await warmed();
    const list = String(await bed.admin.call('CLIENT', 'LIST'));
    const id = /id=(\d+)[^\n]*name=sluice:tracking/.exec(list)?.[1];
    await bed.admin.call('CLIENT', 'KILL', 'ID', id!);
    await bed.admin.del('{cache}:k');
    await fresh(member);
    await bed.admin.del('{cache}:k');
    await answers(member);
    await bed.admin.del('{cache}:k');
    await fresh(member);
  });
});
