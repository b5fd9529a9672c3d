import { Redis } from 'ioredis';
import { setTimeout as pause } from 'node:timers/promises';
import { CacheService } from 'nestjs-sluice/cache';
import { RedisConnections } from 'nestjs-sluice/redis';
import type { BurstOrder, ColdKey, ColdOrder, LoadEvent, LoadSpan, WorkerSettings } from '../apps/cache-worker.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import { commandDelta } from '../support/command-delta.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { now } from '../support/history.js';
import { until } from '../support/until.js';

interface Fleet {
  readonly apps: ForkedApp[];
  readonly admin: Redis;
  /** Loads as they were reported, of those that are. */
  readonly loads: LoadEvent[];
  /** One process more, whose loads are not counted. */
  start(): Promise<ForkedApp>;
}

/** Runs a scenario with so many processes on a Redis of their own. */
async function withFleet(
  ctx: ChaosContext,
  processes: number,
  leaseMs: number,
  run: (fleet: Fleet) => Promise<Verdict[]>,
): Promise<Verdict[]> {
  const { url } = await ctx.startRedis();
  const admin = new Redis(url);
  // A busy machine is none of the faults.
  const settings: WorkerSettings = { url, namespace: 'chaos', cache: { leaseMs, readTimeoutMs: 20_000 } };
  const start = (): Promise<ForkedApp> => forkApp('cache-worker', { env: { WORKER: JSON.stringify(settings) } });
  const apps = await Promise.all(Array.from({ length: processes }, start));
  const loads: LoadEvent[] = [];
  for (const app of apps) app.on('load', (event: LoadEvent) => loads.push(event));
  try {
    return await run({ apps, admin, loads, start });
  } finally {
    await Promise.all(apps.map((app) => app.kill()));
    admin.disconnect();
  }
}

const COLD = { processes: 10, callers: 100, keys: 1_000, atOnce: 100, loaderMs: 500 };

/** Cold keys whose callers arrive over two load times: before, during and after the fill. */
export function cold(ctx: ChaosContext): Promise<Verdict[]> {
  return withFleet(ctx, COLD.processes, 3_000, async ({ apps }) => {
    const got: ColdKey[] = [];
    const spans: LoadSpan[] = [];
    let keys = 0;
    for (; keys === 0 || ctx.more(keys, COLD.keys); keys += COLD.atOnce) {
      const order: ColdOrder = {
        prefix: `${keys}-`,
        keys: COLD.atOnce,
        callers: COLD.callers,
        spreadMs: COLD.loaderMs * 2,
        loaderMs: COLD.loaderMs,
        startAt: now() + 200_000_000n,
        // XFetch would refresh what is about to expire, and nothing is.
        options: { ttlMs: 600_000, earlyRefresh: 0 },
      };
      got.push(...(await Promise.all(apps.map((app) => app.call<ColdKey[]>('cold', order)))).flat());
      spans.push(...(await Promise.all(apps.map((app) => app.call<LoadSpan[]>('spans')))).flat());
    }
    const excess = loadedTwice(spans);
    const calls = keys * COLD.processes * COLD.callers;
    return [
      holds(
        'as many loads as keys',
        spans.length === keys && excess.length === 0,
        `${spans.length} loads of ${keys} keys, ${calls} calls`,
      ),
      holds('all callers of a key get what its load made', differing(got).length === 0),
      rejectsPlanted('a second load', loadedTwice([...spans, spans[0] as LoadSpan])),
      rejectsPlanted('another value', differing([...got, { key: got[0]?.key ?? '', got: ['another'] }])),
    ];
  });
}

function loadedTwice(spans: readonly LoadSpan[]): string[] {
  const seen = new Set<string>();
  return spans.map(({ key }) => key).filter((key) => seen.size === seen.add(key).size);
}

function differing(got: readonly ColdKey[]): string[] {
  const first = new Map<string, string | undefined>();
  return got
    .filter(({ key, got: values }) => {
      const expected = first.has(key) ? first.get(key) : values[0];
      first.set(key, expected);
      return values.some((value) => value !== expected);
    })
    .map(({ key }) => key);
}

const GOVERNOR = { processes: 4, keys: 10_000, limit: 8, loaderMs: 2 };

/** So many distinct cold keys at once, at a source that takes only a few loads. */
export function governor(ctx: ChaosContext): Promise<Verdict[]> {
  return withFleet(ctx, GOVERNOR.processes, 3_000, async ({ apps, admin }) => {
    const { keys, limit, loaderMs, processes } = GOVERNOR;
    const options = { maxConcurrentLoads: limit, source: 'db', earlyRefresh: 0 };
    const share = { keys: keys / processes, callers: 1, spreadMs: 0, loaderMs, startAt: now(), options };
    const delta = await commandDelta(admin, () =>
      Promise.all(apps.map((app, i) => app.call('cold', { ...share, prefix: `${i}-` } satisfies ColdOrder))),
    );
    const spans = (await Promise.all(apps.map((app) => app.call<LoadSpan[]>('spans')))).flat();
    const asked = (delta.calls['evalsha'] ?? 0) / keys;
    const left = await until(async () => (await admin.exists('{chaos:cache}~slots:db')) === 0, {
      what: 'no slot is left',
    });
    return [
      holds(`never more than ${limit} at the source`, crowd(spans) <= limit, `at most ${crowd(spans)}`),
      holds(
        'each key is loaded once',
        spans.length === keys,
        `${spans.length} loads, ${asked.toFixed(1)} commands each`,
      ),
      holds('nothing is left of it', left),
      rejectsPlanted('nine at once', crowd(Array<LoadSpan>(9).fill(spans[0] as LoadSpan)) > limit ? [9] : []),
    ];
  });
}

/** The most that ran at once. */
function crowd(spans: readonly LoadSpan[]): number {
  const steps = spans.flatMap(({ from, to }) => [
    { at: from, by: 1 },
    { at: to, by: -1 },
  ]);
  steps.sort((a, b) => (a.at === b.at ? a.by - b.by : a.at < b.at ? -1 : 1));
  let [running, most] = [0, 0];
  for (const { by } of steps) most = Math.max(most, (running += by));
  return most;
}

const FAILING = { processes: 4, callsPerSecond: 1_000, forMs: 10_000, backoffMs: 500 };

/** A source that is down, under load. */
export function failing(ctx: ChaosContext): Promise<Verdict[]> {
  return withFleet(ctx, FAILING.processes, 3_000, async ({ apps, loads }) => {
    const { callsPerSecond, forMs, backoffMs, processes } = FAILING;
    const order: BurstOrder = {
      key: 'k',
      callers: (callsPerSecond * forMs) / 1_000 / processes,
      loaderMs: 5,
      spreadMs: forMs,
      startAt: now() + 100_000_000n,
      fails: 'the source is down',
      options: { errorBackoffMs: backoffMs },
    };
    const outcomes = (
      await Promise.all(apps.map((app) => app.call<PromiseSettledResult<unknown>[]>('burst', order)))
    ).flat();
    const at = loads.map((load) => load.at);
    const told = outcomes.filter(({ status }) => status === 'rejected').length;
    return [
      holds(
        'one attempt per back-off in the fleet',
        tooSoon(at, backoffMs).length === 0,
        `${at.length} attempts in ${forMs} ms`,
      ),
      holds('every caller is told', told === outcomes.length, `${told} of ${outcomes.length}`),
      rejectsPlanted('one attempt more', tooSoon([...at, (at[0] ?? 0n) + 1n], backoffMs)),
    ];
  });
}

function tooSoon(times: readonly bigint[], backoffMs: number): bigint[] {
  const inOrder = [...times].sort((a, b) => (a < b ? -1 : 1));
  // The server counts whole milliseconds.
  return inOrder.filter((at, i) => i > 0 && Number(at - (inOrder[i - 1] as bigint)) / 1e6 < backoffMs - 1);
}

const TAKEOVER = { rounds: 15, leaseMs: 500 };

/** Loading processes are killed: how long until exactly one other loads. */
export function takeover(ctx: ChaosContext): Promise<Verdict[]> {
  return withFleet(ctx, 3, TAKEOVER.leaseMs, async ({ apps, admin, loads, start }) => {
    const lateMs: number[] = [];
    const counts: number[] = [];
    for (let round = 0; round === 0 || ctx.more(round, TAKEOVER.rounds); round++) {
      const key = `k${round}`;
      const victim = await start();
      void victim.call('read', key, 60_000).catch(() => {});
      await until(() => admin.exists(`{chaos:cache}~lease:${key}`), { what: 'it loads', everyMs: 5 });
      const waiting = apps.map((app) => app.call('read', key, 20));
      await until(async () => (await admin.hlen(`{chaos:cache}~lease:${key}`)) >= 4 + apps.length, {
        what: 'all wait',
        everyMs: 5,
      });
      const killedAt = now();
      await victim.kill();
      const from = performance.now();
      await pause(TAKEOVER.leaseMs);
      const control = performance.now() - from - TAKEOVER.leaseMs;
      await Promise.all(waiting);
      const taken = loads.filter((load) => load.key === key);
      counts.push(taken.length);
      lateMs.push(Number((taken[0]?.at ?? 0n) - killedAt) / 1e6 - TAKEOVER.leaseMs - control);
    }
    const median = lateMs.sort((a, b) => a - b)[lateMs.length >> 1] ?? Infinity;
    return [
      holds('one load more for each process that is killed', notOne(counts).length === 0, `${counts.length} killed`),
      holds(
        'within the lease over a control timer',
        median <= 50,
        `median ${median.toFixed(0)} ms after the lease, most ${lateMs.at(-1)?.toFixed(0)}`,
      ),
      rejectsPlanted('two that take over', notOne([...counts, 2])),
      rejectsPlanted('nobody who does', notOne([...counts, 0])),
    ];
  });
}

/** Takeovers by nobody, or by more than one. */
function notOne(counts: readonly number[]): number[] {
  return counts.filter((count) => count !== 1);
}

const TAGGED = 100_000;

/** One tag of many values. */
export async function tagged(ctx: ChaosContext): Promise<Verdict[]> {
  const { url } = await ctx.startRedis();
  const admin = new Redis(url);
  const connections = await new RedisConnections({ namespace: 'chaos', redis: { url } }).open();
  const cache = new CacheService(connections, {});
  try {
    for (let at = 0; at < TAGGED; at += 1_000) {
      await Promise.all(Array.from({ length: 1_000 }, (_, i) => cache.set(`k${at + i}`, i, { tags: ['all'] })));
    }
    await cache.invalidateTags('so that the script is known');
    const control = await commandDelta(admin, () => admin.eval('return 1', 0));
    const before = await cache.get('k5');
    const { calls, usec } = await commandDelta(admin, () => cache.invalidateTags('all'));
    const scripts = (calls['evalsha'] ?? 0) + (calls['eval'] ?? 0);
    const took = (usec['evalsha'] ?? 0) + (usec['eval'] ?? 0);
    const left = await found(cache);
    return [
      holds(
        `${TAGGED} values are gone in one command`,
        before === 5 && left.length === 0 && scripts === 1,
        `${scripts} command`,
      ),
      holds(
        'whose script takes no longer for them',
        took < 2_000,
        `${took} µs, a script that does nothing ${control.usec['eval'] ?? 0} µs`,
      ),
      rejectsPlanted('a value without the tag', await plantUntagged(cache)),
    ];
  } finally {
    admin.disconnect();
    await connections.onApplicationShutdown();
  }
}

/** Some of the values, as far as they are there. */
async function found(cache: CacheService): Promise<unknown[]> {
  const values = await cache.getMany(Array.from({ length: 1_000 }, (_, i) => `k${i * 97}`));
  return values.filter((value) => value !== undefined);
}

async function plantUntagged(cache: CacheService): Promise<unknown[]> {
  await cache.set('k97', 'of no tag');
  await cache.invalidateTags('all');
  return found(cache);
}
