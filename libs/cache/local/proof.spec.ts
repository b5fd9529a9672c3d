import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { until } from '../../../test/support/until.js';
import { FaultProxy, startRedis, type RedisServer } from '../../testing/index.js';

const bed = new CacheBed();

/** For how long after an acknowledged invalidation another process may serve its copy. */
const BOUND_MS = 1_000;

let first: RedisServer;
let second: RedisServer;
let admins: Redis[];
/** An address that leads to one of them, as a name or a virtual IP does. */
let address: FaultProxy;
beforeEach(async () => {
  [first, second] = await Promise.all([startRedis(), startRedis()]);
  admins = [first, second].map(({ url }) => new Redis(url));
  address = await FaultProxy.to(first.port);
});
afterEach(async () => {
  for (const admin of admins) admin.disconnect();
  await address.close();
  await Promise.all([first.stop(), second.stop()]);
});

it('a copy is not served for longer than a second when messages come from another server than answers', async () => {
  const options = { local: true, ttlMs: 3_600_000, earlyRefresh: 0, jitter: 0 };
  const [writer, reader] = [
    await bed.member({ ...options, redis: { url: first.url } }),
    await bed.member({ ...options, redis: { url: address.url } }),
  ];
  let source = 'old';
  const read = (): Promise<string> => reader.cache.getOrLoad('k', () => source);
  await until(async () => (await read()) === 'old' && reader.cache.stats().local?.entries === 1, { what: 'a copy' });

  address.leadTo(second.port);
  await admins[0]!.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  const { channel } = reader.connections.get().inbox;
  await until(async () => (await admins[1]!.pubsub('NUMSUB', channel))[1] === 1, {
    what: 'the subscriber of the reader is elsewhere',
  });
  await until(async () => (await read()) === 'old' && reader.cache.stats().local?.entries === 1, { what: 'a copy' });
  source = 'new';
  await writer.cache.delete('k');
  const acknowledgedAt = performance.now();
  let lastOldMs = -Infinity;
  await until(
    async () => {
      const asked = performance.now();
      if ((await read()) === 'old') lastOldMs = asked - acknowledgedAt;
      return performance.now() - acknowledgedAt > 3 * BOUND_MS;
    },
    { what: 'the bound is over', everyMs: 5 },
  );
  expect(lastOldMs).toBeLessThanOrEqual(BOUND_MS);
});
