import { Redis } from 'ioredis';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import type { ForkedApp } from '../../support/fork-app.js';
import { readLedger } from '../../support/ledger.js';
import { startQueueApp } from '../../support/queue-app.js';
import { RecoveryLane, startMember, type Begun, type Recovered } from './recovery-lane.js';

const LONG_MS = 60_000;
/** Long enough to outlast three leases of 5 s, where minutes are given. */
const SHORTER_MS = 16_000;
const LONG_TASKS = 10;
const MOST_MISSED = 20;
const LIMIT_MS = 7_000;

/**
 * At the defaults: processes are killed with tasks in hand, on queues side by side; their neighbours have them running
 * within a lease and a sweep. All take part in one more queue, whose tasks run for a minute in a process that is spared.
 */
export async function recovery(ctx: ChaosContext): Promise<Verdict[]> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-recovery-'));
  const apps: ForkedApp[] = [];
  try {
    return await killSideBySide(ctx, join(dir, 'ledger'), apps);
  } finally {
    await Promise.all(apps.map((app) => app.kill()));
    rmSync(dir, { recursive: true });
  }
}

async function killSideBySide(ctx: ChaosContext, path: string, apps: ForkedApp[]): Promise<Verdict[]> {
  writeFileSync(path, '');
  const redis = await ctx.startRedis();
  const admin = new Redis(redis.url, { protocol: 2 });
  const { app, queue } = await startQueueApp({ url: redis.url });
  const begun: Begun[] = [];
  const fleet = { admin, queue, apps, url: redis.url, ledger: path, long: begun };
  const [lanes, rounds, longMs] = ctx.budgetMs === undefined ? [10, 5, LONG_MS] : [4, 1, SHORTER_MS];

  const keeper = await startMember(fleet, ['long']);
  const long = await queue.publishMany('long', new Array<object>(LONG_TASKS).fill({ ms: longMs }));
  const startedMs = performance.now();
  const recovered: Recovered[] = [];
  let missed = 0;
  const run = async (n: number): Promise<void> => {
    // Handlers of a minute and of a millisecond in turn.
    const lane = await RecoveryLane.open(fleet, `q${n}`, n % 2 === 0 ? LONG_MS : 1);
    for (let done = 0; done === 0 || ctx.more(done, rounds);) {
      await pause(ctx.random() * 1_000);
      const found = await lane.kill(LIMIT_MS);
      if (found) {
        recovered.push(found);
        done++;
      } else if (++missed > MOST_MISSED) throw new Error('the kills hit processes that do nothing');
    }
  };
  await Promise.all([...new Array(lanes).keys()].map(run));
  await pause(Math.max(0, longMs + 2_000 - (performance.now() - startedMs)));
  const ended = readLedger(path).filter(({ id }) => long.includes(id));
  await app.close();
  admin.disconnect();

  const worst = Math.max(...recovered.map(({ tookMs }) => tookMs));
  const tasks = recovered.reduce((sum, each) => sum + each.tasks, 0);
  ctx.log(
    `${recovered.length} killed on ${lanes} queues with ${tasks} tasks in hand, ${missed} between two tasks; ` +
      `the slowest recovery took ${Math.round(worst)} ms`,
  );
  const by = String(keeper.pid);
  // A run that began elsewhere may not have ended yet.
  const doubled = [...notOnce(long, begun, by), ...notOnce(long, ended, by)];
  const stolen = begun.slice(0, 1).map(({ id }) => ({ id, by: 'another' }));
  return [
    holds(
      `each task of a killed process ran elsewhere within ${LIMIT_MS} ms`,
      tooSlow(recovered).length === 0,
      tooSlow(recovered).join('; ') || `${tasks} tasks`,
    ),
    holds(
      `handlers of ${longMs / 1_000} s ran once, while processes beside them died`,
      doubled.length === 0,
      doubled.join('; ') || `${long.length} tasks`,
    ),
    rejectsPlanted(
      'a recovery that took too long',
      tooSlow([...recovered, { queue: 'q', tasks: 1, tookMs: LIMIT_MS + 500, controlMs: 0 }]),
    ),
    rejectsPlanted('a second run of a long handler', notOnce(long, [...begun, ...stolen], by)),
  ];
}

function tooSlow(all: readonly Recovered[]): string[] {
  return all
    .filter(({ tookMs, controlMs }) => tookMs > LIMIT_MS + controlMs)
    .map(({ queue, tookMs }) => `${queue} took ${Math.round(tookMs)} ms`);
}

/** Those that are not there exactly once, by the process that had them. */
function notOnce(ids: readonly string[], runs: readonly Begun[], by: string): string[] {
  return ids
    .map((id) => ({ id, who: runs.filter((run) => run.id === id).map((run) => run.by) }))
    .filter(({ who }) => who.join() !== by)
    .map(({ id, who }) => `${id} ran in [${who.join()}]`);
}
