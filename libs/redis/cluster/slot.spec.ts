import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { CLUSTER_SLOTS, slotOf } from './slot.js';

let redis: RedisServer;
let admin: Redis;
beforeAll(async () => {
  redis = await startRedis({ slotChecks: true });
  admin = new Redis(redis.url);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

describe('the slot of a key', () => {
  it.each([
    '123456789',
    'shop:lock:job',
    '{shop:lock:job}:~queue',
    'a{b}c{d}',
    'a{}b',
    'a{}{b}',
    '{',
    '}{',
    'a{b',
    '{{a}}',
    '{a}b}',
    'ü',
    '{鍵 😀}x',
    ' ',
    '\0\r\n',
  ])('is the one that Redis computes: %j', async (key) => {
    expect(slotOf(key)).toBe(await admin.cluster('KEYSLOT', key));
  });

  it('is the one that Redis computes, of many keys', async () => {
    const keys = Array.from({ length: 500 }, (_, n) => `${n % 3 === 0 ? `{t${n}}` : ''}key:${n * 7919}`);
    const slots = await Promise.all(keys.map((key) => admin.cluster('KEYSLOT', key)));
    expect(keys.map(slotOf)).toEqual(slots);
    expect(Math.max(...keys.map(slotOf))).toBeLessThan(CLUSTER_SLOTS);
  });
});
