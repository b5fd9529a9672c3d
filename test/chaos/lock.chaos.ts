import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { RedisServer } from 'nestjs-sluice/testing';
import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { checkIntervals, readHistory, type Interval } from '../support/history.js';

const NAMES = ['a', 'b', 'c'];
const WORKERS = 3;
const LEASE_MS = 400;
/** How soon every lock must be free again once nothing disturbs: a lease, a provisional grant, and slow machines. */
const HEALED_WITHIN_MS = 10_000;

export default defineChaos({
  feature: 'lock',
  scenarios: {
    fleet: {
      about: 'processes that hold and wait are killed and paused; Redis hangs, drops its clients, forgets its scripts',
      run: fleetUnderFire,
    },
  },
});

async function fleetUnderFire(ctx: ChaosContext): Promise<Verdict[]> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-lock-'));
  const redis = await ctx.startRedis();
  const admin = new Redis(redis.url);
  const fleet = new Fleet(redis, dir);
  try {
    await fleet.fill();
    const injected = await fire(ctx, redis, admin, fleet);
    const failures = await fleet.finish();
    const intervals = readHistory(dir);
    const violations = checkIntervals(intervals);
    const left = (await admin.keys('*')).filter((key) => !key.endsWith(':~fence'));
    const overlaps = violations.filter(({ kind }) => kind === 'overlap');
    const stale = violations.filter(({ kind }) => kind === 'token');
    ctx.log(`${intervals.length} grants; ${injected}`);
    return [
      holds('no two hold one lock at a time', overlaps.length === 0, show(overlaps)),
      holds('fencing tokens strictly increase', stale.length === 0, show(stale)),
      holds('locks were granted all along', intervals.length > 100, `${intervals.length} grants`),
      holds('once nothing disturbs, every lock is free for everyone', failures.length === 0, list(failures)),
      holds('nothing is left but fences', left.length === 0, list(left)),
      rejectsPlanted('a second holder in the middle of a hold', checkIntervals([...intervals, intruder(intervals)])),
    ];
  } finally {
    await fleet.kill();
    admin.disconnect();
    rmSync(dir, { recursive: true });
  }
}

async function fire(ctx: ChaosContext, redis: RedisServer, admin: Redis, fleet: Fleet): Promise<string> {
  const counts: Record<string, number> = {};
  const faults: Record<string, (victim: ForkedApp) => Promise<unknown>> = {
    kill: (victim) => fleet.replace(victim),
    pause: async (victim) => {
      victim.pause();
      // From half a lease to well beyond what a waiter may be silent.
      await pause(LEASE_MS / 2 + ctx.random() * (ctx.random() < 0.2 ? 3_500 : 1_000));
      victim.resume();
    },
    hang: async () => {
      redis.pause();
      await pause(100 + ctx.random() * 700);
      redis.resume();
    },
    'drop commands': () => admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'),
    'drop subscribers': () => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
    'forget scripts': () => admin.script('FLUSH'),
  };
  const names = Object.keys(faults);
  for (let round = 0; ctx.more(round, 30); round++) {
    const name = names[Math.floor(ctx.random() * names.length)] ?? 'kill';
    counts[name] = (counts[name] ?? 0) + 1;
    await faults[name]?.(fleet.any(ctx.random()));
    // What was paused closes its books before anything happens to it again.
    await pause(200 + ctx.random() * 300);
  }
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

/** Processes that compete for a few locks without end. */
class Fleet {
  readonly #redis: RedisServer;
  readonly #dir: string;
  #workers: ForkedApp[] = [];
  #born = 0;

  constructor(redis: RedisServer, dir: string) {
    this.#redis = redis;
    this.#dir = dir;
  }

  any(random: number): ForkedApp {
    return this.#workers[Math.floor(random * this.#workers.length)]!;
  }

  async replace(victim: ForkedApp): Promise<void> {
    await victim.kill();
    this.#workers = this.#workers.filter((app) => app !== victim);
    await this.fill();
  }

  async fill(): Promise<void> {
    while (this.#workers.length < WORKERS) {
      const env = { REDIS_URL: this.#redis.url, HISTORY_DIR: this.#dir, WORKER: `worker-${++this.#born}` };
      const app = await forkApp('lock-worker', { env });
      this.#workers.push(app);
      for (const name of NAMES) {
        const hammer = { name, waiters: 3, rounds: Infinity, holdMs: 8, ttlMs: LEASE_MS };
        app.call('hammer', hammer).catch(() => {});
      }
    }
  }

  /** Ends the work; each process must get each lock then. Returns what went wrong. */
  async finish(): Promise<string[]> {
    const failures: string[] = [];
    await Promise.all(this.#workers.map((app) => app.call('finish')));
    for (const app of this.#workers) {
      for (const name of NAMES) {
        const late = new Promise<string>((resolve) => setTimeout(resolve, HEALED_WITHIN_MS, 'it did not come'));
        const taken = app.call('take', name, LEASE_MS).then(
          () => app.call('drop').then(() => undefined),
          (error: unknown) => String(error),
        );
        const failure = await Promise.race([taken, late]);
        if (failure !== undefined) failures.push(`${app.name} ${name}: ${failure}`);
      }
    }
    await Promise.all(this.#workers.map((app) => app.stop().catch((error: unknown) => failures.push(String(error)))));
    return failures;
  }

  async kill(): Promise<void> {
    await Promise.all(this.#workers.map((app) => app.kill()));
  }
}

function intruder(intervals: readonly Interval[]): Interval {
  const long = intervals.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a));
  const middle = (long.from + long.to) / 2n;
  return { name: long.name, from: middle, to: middle + 1n, by: 'an intruder' };
}

const list = (texts: readonly string[]): string | undefined => (texts.length > 0 ? texts.join('; ') : undefined);

function show(violations: readonly unknown[]): string | undefined {
  if (violations.length === 0) return undefined;
  const text = JSON.stringify(violations.slice(0, 3), (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return `${violations.length}: ${text}`;
}
