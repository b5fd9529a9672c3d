import { runQueueModel } from '../../model/queue.model.js';
import type { Step } from '../../model/step.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';

/** A million random steps against the real scripts, every task in exactly one place after each. */
export async function model(ctx: ChaosContext): Promise<Verdict[]> {
  const { url } = await ctx.startRedis();
  const seed = Math.floor(ctx.random() * 2 ** 31);
  let asked = 0;
  const stop = (): boolean => !ctx.more(asked++, Infinity);
  const steps = await runQueueModel({ url, seed, steps: ctx.budgetMs === undefined ? 1_000_000 : Infinity, stop });
  const run: Step = async (world) => {
    await world.link.send('xadd', [world.keys.stream, '*', 'payload', '0', 'retry_count', '1']);
    return () => true;
  };
  const naive = { weight: 1, run };
  const planted = await runQueueModel({ url, seed, steps: 2_000, shrink: false, planted: { naive } }).then(
    () => [],
    (error: unknown) => [String(error)],
  );
  return [
    holds('every task is in exactly one place after each step', true, `${steps} steps`),
    rejectsPlanted('a retry beside its original', planted),
  ];
}
