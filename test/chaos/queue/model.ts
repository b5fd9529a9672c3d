import { RedisConnections } from '../../../libs/redis/index.js';
import { runQueueModel } from '../../model/queue.model.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';

/** A million random steps against the real scripts, every task in exactly one place after each. */
export async function model(ctx: ChaosContext): Promise<Verdict[]> {
  const redis = await ctx.startRedis();
  const connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  const { commands: link } = connections.get();
  const seed = Math.floor(ctx.random() * 2 ** 31);
  try {
    const stop = (): boolean => !ctx.more(0, 1);
    const steps = await runQueueModel({ link, seed, steps: ctx.budgetMs === undefined ? 1_000_000 : Infinity, stop });
    const naive = {
      weight: 1,
      run: async (): Promise<() => boolean> => {
        await link.send('xadd', ['model0:tasks', '*', 'payload', '0', 'retry_count', '1']);
        return () => true;
      },
    };
    const planted = await runQueueModel({ link, seed, steps: 2_000, shrink: false, planted: { naive } }).then(
      () => [],
      (error: unknown) => [String(error)],
    );
    return [
      holds('every task is in exactly one place after each step', true, `${steps} steps`),
      rejectsPlanted('a retry beside its original', planted),
    ];
  } finally {
    await connections.onApplicationShutdown();
  }
}
