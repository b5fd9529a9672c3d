import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from '../connection/connections.js';
import { NewerDataError } from '../redis.errors.js';
import { lua } from './fragment.js';
import { defineScript } from './script.js';
import { unknownUses, usesFragment } from './uses.fragment.js';

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
});
afterAll(async () => {
  await connections.onApplicationShutdown();
  admin.disconnect();
  await redis.stop();
});
beforeEach(() => admin.flushall());

const USES = '{tasks}:~uses';

const guarded = defineScript({
  name: 'guarded',
  keys: ['uses'],
  args: {},
  lua: lua`${usesFragment(['order', 'lanes'])}
local refused = newerData(uses)
if refused then return refused end
return 'done'`,
  decode: String,
});

const run = (uses = USES): Promise<string> => guarded.run(connections.get().commands, { keys: { uses }, args: {} });

describe('the reading side of `:~uses`', () => {
  it('does what was asked for where no feature, or only known ones, are used', async () => {
    expect(await run()).toBe('done');
    await admin.hset(USES, { order: '0.4.0', lanes: '0.5.0' });
    expect(await run()).toBe('done');
  });

  it('refuses a feature that it does not know, and names it with its release', async () => {
    await admin.hset(USES, { order: '0.4.0', schedules: '0.6.0 1796000000000' });
    const error = (await run().catch((caught: unknown) => caught)) as NewerDataError;
    expect(error).toBeInstanceOf(NewerDataError);
    expect(error).toMatchObject({
      code: 'SLUICE_NEWER_DATA',
      key: 'tasks',
      uses: [{ feature: 'schedules', since: '0.6.0' }],
      message:
        "'tasks' was left alone: a newer release of nestjs-sluice keeps data there that this release does not know: " +
        'schedules (since 0.6.0). Upgrade this process',
    });
  });

  it.each([
    ['{shop:orders}:~uses', 'shop:orders'],
    ['{tenant}:orders:~uses', '{tenant}:orders'],
    ['a in {b}:~uses c:~uses', 'a in {b}:~uses c'],
  ])('names the main key of %s', async (uses, key) => {
    await admin.hset(uses, 'new', '9');
    await expect(run(uses)).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA', key });
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a set', () => admin.sadd(USES, 'order')],
    ['a text', () => admin.set(USES, 'order')],
  ])('takes %s for a feature that it does not know', async (_, plant) => {
    await plant();
    await expect(run()).rejects.toMatchObject({
      code: 'SLUICE_NEWER_DATA',
      uses: [{ feature: '?', since: '?' }],
    });
  });

  it('stays readable whatever stands there', async () => {
    const names = Array.from({ length: 100 }, (_, i) => [`n${i}\r\n, @"${'x'.repeat(500)}`, `\0 ${'9'.repeat(500)}`]);
    await admin.hset(USES, ...names.flat());
    const { message, uses } = (await run().catch((caught: unknown) => caught)) as NewerDataError;
    expect(uses).toHaveLength(8);
    expect(message).toMatch(/^[ -~]{1,1000}$/);
  });

  it('reads its own text', () => {
    expect(unknownUses('a@1,b@?')).toEqual([
      { feature: 'a', since: '1' },
      { feature: 'b', since: '?' },
    ]);
  });
});
