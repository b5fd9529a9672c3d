import { setTimeout as pause } from 'node:timers/promises';
import { runOrderModel } from '../../model/order.model.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { OrderedFleet, brokenOrders, orderedWork } from '../../support/ordered-fleet.js';
import { until } from '../../support/until.js';

const CONCURRENCY = 20;
const LEASE_MS = 500;

/**
 * A thousand keys with a hundred tasks each, some of which fail, in two processes and later six, which are killed and stopped: each key in
 * order, one at a time. Then random steps against the scripts, as a model of an ordered queue.
 */
export async function ordered(ctx: ChaosContext): Promise<Verdict[]> {
  const { url } = await ctx.startRedis();
  const [keys, tasks] = ctx.budgetMs === undefined ? [1_000, 100] : [300, 20];
  const fleet = await OrderedFleet.open(url, { CONCURRENCY: String(CONCURRENCY), LEASE_MS: String(LEASE_MS) });
  try {
    await fleet.fill(2);
    const work = orderedWork(keys, tasks, () => ctx.random(), 4);
    for (let from = 0; from < work.length; from += 10_000) await fleet.publish(work.slice(from, from + 10_000));
    for (let faults = 0; !(await fleet.isDone()); faults++) {
      await pause(ctx.random() * 1_500);
      const at = Math.floor(ctx.random() * 100);
      if (faults > 60) continue;
      if (faults % 3 === 2) await fleet.pauseOne(at, faults % 2 === 0 ? LEASE_MS * 2 : LEASE_MS / 3, faults % 2 === 0);
      else await fleet.killOne(at);
      await fleet.fill(Math.min(6, 2 + Math.floor(faults / 2)));
    }
    await until(() => fleet.isDone(), { what: 'all are done' });
    const violations = fleet.violations(12 * CONCURRENCY);
    const history = fleet.history();
    const [run] = history;
    ctx.log(`${history.length} runs of ${work.length} tasks, ${fleet.kills} kills`);
    const seed = Math.floor(ctx.random() * 2 ** 31);
    const steps = await runOrderModel({ url, seed, steps: ctx.budgetMs === undefined ? 100_000 : 5_000 });
    return [
      holds('each key ran in order, one task at a time', violations.length === 0, violations.slice(0, 5).join('; ')),
      holds('every task is in one place, and every key in order, after each step', true, `${steps} steps`),
      rejectsPlanted(
        'two tasks of a key at a time',
        run ? brokenOrders([run, { ...run, from: run.to - 1n, to: run.to + 1n }]) : [],
      ),
    ];
  } finally {
    await fleet.close();
  }
}
