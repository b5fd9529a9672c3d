import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { LimitFleet } from '../support/limit-fleet.js';
import { LIMITS, worstWindow, type Recorded } from '../support/limit-records.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let admin: Redis;
let fleet: LimitFleet;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  fleet = new LimitFleet(redis, admin, 4);
});
afterAll(async () => {
  redis.resume();
  await fleet.close();
  admin.disconnect();
  await redis.stop();
});

/** Whether each limit was used up in some window of what was decided so far. */
function isUsedUp(records: readonly Recorded[]): boolean {
  return LIMITS.every(({ name, limit, perMs }) => worstWindow(of(records, name), perMs) >= limit * 0.9);
}

const of = (records: readonly Recorded[], wanted: string): Recorded[] => records.filter(({ name }) => name === wanted);

it('no window holds more than the limit, whatever happens to processes, sockets, scripts and the clock', async () => {
  await fleet.fill();
  await until(() => isUsedUp(fleet.records()), { what: 'the limits were used up in calm' });
  for (const [i, fault] of Object.values(fleet.faults).entries()) {
    const before = fleet.records().length;
    await fault((i + 1) / 8);
    await until(() => fleet.records().length > before + 20, { what: 'decisions go on' });
  }
  const { allowed, refused } = await fleet.end();
  expect(allowed).toBeGreaterThan(100);
  expect(refused).toBeGreaterThan(100);
  const records = fleet.records();
  for (const { name, limit, perMs } of LIMITS) {
    expect({ name, isTooMuch: worstWindow(of(records, name), perMs) > limit }).toEqual({ name, isTooMuch: false });
  }
});

it('a decision too many would be seen', () => {
  const at = (ms: number, units: number, subject = 'one'): Recorded => ({
    name: 'x',
    subject,
    atUs: ms * 1_000,
    units,
    isRepeat: false,
    limit: 5,
    dueUs: 0,
  });
  expect(worstWindow([at(0, 3), at(999, 2), at(1_000, 3)], 1_000)).toBe(5);
  expect(worstWindow([at(0, 3), at(999, 3)], 1_000)).toBe(6);
  expect(worstWindow([at(0, 3), at(999, 4, 'another')], 1_000)).toBe(4);
});
