import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import type { Turn } from '../apps/limit-caller.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import type { Recorded } from '../support/limit-records.js';
import { until } from '../support/until.js';

let redis: RedisServer;
const dir = mkdtempSync(join(tmpdir(), 'sluice-limit-'));
const apps: ForkedApp[] = [];
const files: string[] = [];
beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.kill()));
  files.length = 0;
});
afterAll(async () => {
  await redis.stop();
  rmSync(dir, { recursive: true });
});

let started = 0;
async function start(): Promise<ForkedApp> {
  const file = join(dir, `${started++}.ndjson`);
  const app = await forkApp('limit-caller', { env: { REDIS_URL: redis.url, RECORDS: file } });
  apps.push(app);
  files.push(file);
  return app;
}

const startAll = (count: number): Promise<ForkedApp[]> => Promise.all(Array.from({ length: count }, start));

/** What all processes recorded, by the server's time. A process that was killed may have left half a line. */
function records(): Recorded[] {
  const lines = files
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1));
  return lines.map((line) => JSON.parse(line) as Recorded).sort((a, b) => a.atUs - b.atUs);
}

it('a call is charged to all limits of its definition or to none, although its process is killed', async () => {
  const observer = await start();
  for (let round = 0; round < 6; round++) {
    const key = `pair ${round}`;
    const victims = await startAll(3);
    await Promise.all(victims.map((victim) => victim.call('floodPair', key)));
    await until(async () => (await observer.call<number[]>('used', key)).some((used) => used > 0), {
      what: 'it is used',
    });
    await pause(round * 2);
    await Promise.all(victims.map((victim) => victim.kill()));
    const [ring, slots] = await observer.call<number[]>('used', key);
    expect({ round, slots }).toEqual({ round, slots: ring });
  }
});

it.each([1, 3])(
  'a sole caller of %d units is admitted after the time that it was told, and not 1 ms before',
  async (cost) => {
    const [caller, ...victims] = await startAll(3);
    if (caller === undefined) return;
    const key = `retry ${cost}`;
    // Others use it up as well, and die of it.
    await Promise.all(victims.map((victim) => victim.call('useUp', key, 1)));
    await Promise.all(victims.map((victim) => victim.kill()));
    const { atUs, retryAfterMs } = await caller.call<{ atUs: number; retryAfterMs: number }>('useUp', key, cost);
    const { refusedUs, allowedUs } = await caller.call<{ refusedUs: number; allowedUs: number }>(
      'askUntilAllowed',
      key,
      cost,
    );
    const dueUs = atUs + retryAfterMs * 1_000;
    expect(allowedUs).toBeGreaterThan(dueUs - 1_000);
    expect(refusedUs).toBeLessThan(dueUs);
  },
);

it('a limit that changes holds for each decision, whoever decided before by which limit', async () => {
  const fleet = await startAll(4);
  const plans = [3, 20, 60, 100, 500];
  await Promise.all(fleet.map((app) => app.call('floodPlans', 'plans', 4_000, plans)));
  const decided = records().filter(({ name, isRepeat }) => name === 'plan' && !isRepeat);
  expect(new Set(decided.map(({ limit }) => limit)).size).toBeGreaterThan(2);
  for (const [i, { atUs, limit }] of decided.entries()) {
    const inside = decided.slice(0, i + 1).filter((other) => other.atUs > atUs - 1_000_000);
    const units = inside.reduce((sum, other) => sum + other.units, 0);
    expect({ units, limit, isTooMuch: units > limit }).toEqual({ units, limit, isTooMuch: false });
  }
});

it('turns follow the order of arrival in all processes, and a process that dies loses no turn but its own', async () => {
  const [victim, ...fleet] = await startAll(4);
  const lost = victim?.call('turns', 'partner', 40).catch(() => undefined);
  const taken = fleet.map((app) => app.call<Turn[]>('turns', 'partner', 40));
  await until(() => records().filter(({ name }) => name === 'paced').length > 60, { what: 'turns were given' });
  await victim?.kill();
  await lost;
  const turns = (await Promise.all(taken)).flat();
  const given = records().filter(({ name }) => name === 'paced');
  // Each call has the turn after that of the call before it: also after those of the dead process.
  const slots = given.map(({ atUs, dueUs }) => atUs + dueUs);
  for (const [i, slot] of slots.entries()) {
    if (i > 0) expect(slot - (slots[i - 1] ?? 0)).toBeGreaterThanOrEqual(20_000);
  }
  for (const { turnUs, startedUs } of turns) expect(startedUs).toBeGreaterThanOrEqual(turnUs - 2_000);
  const inOrder = [...turns].sort((a, b) => a.arrivedUs - b.arrivedUs);
  expect(inOrder.map(({ turnUs }) => turnUs)).toEqual([...inOrder.map(({ turnUs }) => turnUs)].sort((a, b) => a - b));
});
