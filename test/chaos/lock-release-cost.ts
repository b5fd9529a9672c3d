import { Redis } from 'ioredis';
import { median } from '../support/median.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import type { ForkedApp } from '../support/fork-app.js';
import { until } from '../support/until.js';
import { withWorkers } from './lock-workers.js';

const PROCESSES = 8;
const RELEASES = 200;
const ROUNDS = 5;
/** Long enough for whoever was served to wait again: a release that finds nobody to hand over to costs less. */
const HOLD_MS = 3;

/**
 * What the releasing script costs the server, by its own log of slow commands, at 2 and at 512 waiters: the medians of some
 * rounds in turn. Each round's waiters line up first; then so many are served, one after the other.
 */
export async function costOfRelease(ctx: ChaosContext): Promise<Verdict[]> {
  const redis = await ctx.startRedis();
  const admin = new Redis(redis.url);
  try {
    return await withWorkers(redis, PROCESSES, async (workers) => {
      const cost = { few: [] as number[], many: [] as number[] };
      for (let round = 0; round < ROUNDS; round++) {
        cost.few.push(await measure(admin, workers, 2, `few ${round}`));
        cost.many.push(await measure(admin, workers, 512, `many ${round}`));
      }
      const [few, many] = [median(cost.few), median(cost.many)];
      const half = cost.few.map((us) => us * 1.5);
      return [
        holds(
          'a release costs about the same, however many wait',
          isFlat(cost.few, cost.many),
          `${few} µs, ${many} µs`,
        ),
        rejectsPlanted('a release that costs half as much again', isFlat(cost.few, half) ? [] : half),
      ];
    });
  } finally {
    admin.disconnect();
  }
}

/** The median time of a release that hands over while `waiting` wait, each of whom comes again when served, in µs. */
async function measure(admin: Redis, [holder, ...rest]: readonly ForkedApp[], waiting: number, name: string) {
  if (holder === undefined) throw new Error('nobody can hold it');
  await holder.call('take', name, 30_000);
  // One more than are to wait: one holds it.
  const share = Math.ceil(waiting / PROCESSES);
  const workers = [holder, ...rest].slice(0, Math.min(waiting + 1, PROCESSES));
  const rounds = Math.ceil((2 * RELEASES) / waiting) + 1;
  const lines = workers.map((app) => app.call('hammer', { name, waiters: share, rounds, holdMs: HOLD_MS }));
  const queue = `{lock:${name}}:~queue`;
  const all = share * workers.length;
  await until(async () => (await admin.zcard(queue)) === all, { what: 'all wait', deadlineMs: 30_000 });
  await admin.call('CONFIG', 'SET', 'slowlog-log-slower-than', '0', 'slowlog-max-len', '100000');
  await admin.call('SLOWLOG', 'RESET');
  await holder.call('drop');
  await Promise.all(lines);
  await admin.call('CONFIG', 'SET', 'slowlog-log-slower-than', '-1');
  const log = (await admin.call('SLOWLOG', 'GET', '-1')) as [number, number, number, string[]][];
  // Of the lock's scripts only the release has two keys. The log begins with the latest.
  const releases = log.filter(([, , , args]) => args[0] === 'evalsha' && args[2] === '2' && args[3] === `lock:${name}`);
  return median(releases.slice(-RELEASES).map(([, , us]) => us));
}

function isFlat(few: number[], many: number[]): boolean {
  return median(many) / median(few) <= 1.3;
}
