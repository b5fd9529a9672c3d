import { expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { lockMember, type LockMember } from '../../../test/support/lock-member.js';
import { until } from '../../../test/support/until.js';

const bed = new LockBed();

/** What `ACL SETUSER` grants by default since Redis 7: all commands and keys, no channel. */
async function withoutChannels(): Promise<LockMember> {
  await bed.admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', 'resetchannels');
  const member = await lockMember(bed.redis.url.replace('redis://', 'redis://app:secret@'));
  bed.members.push(member);
  return member;
}

it('a user without rights on channels hands its locks over, in the order of the requests', async () => {
  const { locks } = await withoutChannels();
  const { locks: others } = await withoutChannels();
  const granted: string[] = [];
  const first = await locks.acquire('x');
  const waits = [];
  for (const [at, name] of ['b', 'c', 'd'].entries()) {
    const process = at === 1 ? locks : others;
    waits.push(process.withLock('x', { waitMs: 60_000, ttlMs: 60_000 }, () => void granted.push(name)));
    await bed.waiting(at + 1);
  }
  await first.release();
  // In the step of the release: the lock is not free for who has just come.
  expect(await locks.tryAcquire('x')).toBe(null);
  await Promise.all(waits);
  expect(granted).toEqual(['b', 'c', 'd']);
  await until(async () => (await bed.admin.exists('lock:x')) === 0, { what: 'all have released' });
});

it('and takes a lock away by force', async () => {
  const { locks } = await withoutChannels();
  const { locks: others } = await withoutChannels();
  const held = await locks.acquire('x', { ttlMs: 1_500 });
  expect(await others.forceRelease('x')).toBe(true);
  const next = await others.acquire('x');
  await until(() => !held.held, { what: 'the next renewal tells the former holder' });
  expect(next.held).toBe(true);
});
