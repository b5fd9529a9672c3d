import { afterEach, describe, expect, it } from '@jest/globals';
import { CLUSTER_MODE, itOnPlainRedis } from '../../../test/support/cluster-mode.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';

const bed = new LockBed();

afterEach(async () => {
  await bed.admin.config('SET', 'min-replicas-to-write', '0');
  await bed.admin.config('SET', 'maxmemory', '0');
  if (!CLUSTER_MODE) await bed.admin.replicaof('NO', 'ONE');
});

/** How a server is made to refuse, and to serve again. A script of another client is busy until it is killed. */
const REFUSALS: readonly [refusal: string, refuse: () => Promise<unknown>, mend: () => Promise<unknown>][] = [
  [
    'NOREPLICAS',
    () => bed.admin.config('SET', 'min-replicas-to-write', '1'),
    () => bed.admin.config('SET', 'min-replicas-to-write', '0'),
  ],
  ['OOM', () => bed.admin.config('SET', 'maxmemory', '1'), () => bed.admin.config('SET', 'maxmemory', '0')],
  ['READONLY', () => bed.admin.replicaof('127.0.0.1', '1'), () => bed.admin.replicaof('NO', 'ONE')],
  [
    'BUSY',
    async () => {
      await bed.admin.config('SET', 'busy-reply-threshold', '1');
      const client = bed.admin.duplicate();
      void client.eval('while true do end', 0).catch(() => {
        client.disconnect();
      });
      const busy = (): Promise<boolean> =>
        bed.admin.ping().then(
          () => false,
          () => true,
        );
      await until(busy, { what: 'the script is busy' });
    },
    () => bed.admin.script('KILL'),
  ],
];

describe.each(REFUSALS)('a server that refuses for the moment: %s', (refusal, refuse, mend) => {
  const test = refusal === 'READONLY' ? itOnPlainRedis : it;

  test('keeps waiters waiting, runs ticks and takes releases when it is well again', async () => {
    const { locks } = await bed.listening();
    const mine = await locks.acquire('mine');
    const other = await (await bed.service()).acquire('theirs');
    const early = locks.acquire('theirs', { waitMs: 60_000 });
    await bed.waiting(1, 'theirs');
    // The server knows the script of ticks, as it does after the first one.
    await locks
      .acquireTick('tick', { method: 'Job.run', instantMs: 1, keepMs: 60_000 }, {})
      .then((lock) => lock?.release());
    await refuse();
    const outcome = await mine.release().catch((error: unknown) => error);
    if (outcome !== true) expect(outcome).toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    const late = locks.acquire('late', { waitMs: 60_000 });
    const tick = locks.acquireTick('tick', { method: 'Job.run', instantMs: 2, keepMs: 60_000 }, { waitMs: 60_000 });
    const refused = await locks.tryAcquire('now').catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE', lock: 'now' });
    expect(locks.stats().waiting).toBeGreaterThan(0);
    await mend();
    expect((await late).held).toBe(true);
    expect((await tick)?.held).toBe(true);
    await other.release();
    expect((await early).held).toBe(true);
    await until(async () => (await bed.admin.exists('lock:mine')) === 0, { what: 'the release is repeated' });
  });
});

describe('a lock that cannot be asked about', () => {
  it('fails its own waiters only, and leaves no grant behind', async () => {
    const { locks } = await bed.listening();
    for (const name of ['a', 'b', 'c']) await bed.occupy(name);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => locks.acquire(name, { waitMs: 60_000 }));
    for (const name of ['a', 'b', 'c']) await bed.waiting(1, name);
    await bed.admin.multi().del('lock:b').hset('lock:b', 'field', '1').exec();
    await bed.admin.del('lock:a');
    await expect(b).rejects.toMatchObject({ code: 'SLUICE_REDIS_REFUSED' });
    const lock = await a!;
    expect(lock.held).toBe(true);
    await lock.release();
    expect(await bed.admin.exists('lock:a')).toBe(0);
    await bed.admin.del('lock:c');
    expect((await c!).held).toBe(true);
    // What the failed waiter has in Redis goes as soon as the key is a lock again.
    await bed.admin.del('lock:b');
    // The queue of a lock without waiters ends by itself, but only after a minute.
    const gone = async (): Promise<boolean> => (await bed.admin.exists('{lock:b}:~queue')) === 0;
    await until(gone, { what: 'its place is given up', deadlineMs: 25_000 });
  });
});
