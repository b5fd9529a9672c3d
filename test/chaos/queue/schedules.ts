import { setTimeout as pause } from 'node:timers/promises';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { checkSchedules, runScheduleChaos } from '../../support/schedule-chaos.js';

const SCHEDULES = 1_000;
const KILLS = 200;
const DURATION_MS = 900_000;
/** On a slow machine each process takes many seconds to start: it ends in time for its verdicts, with fewer kills. */
const LONGEST_MS = 1_500_000;

/** A thousand schedules of one second, in four processes with four wall clocks, one of which is killed every few seconds. */
export async function schedules(ctx: ChaosContext): Promise<Verdict[]> {
  const { url } = await ctx.startRedis();
  const startedMs = performance.now();
  let kills = 0;
  const history = await runScheduleChaos({
    ...{ url, schedules: SCHEDULES, processes: 4, leaseMs: 500 },
    step: async (kill) => {
      await pause(ctx.random() * 2_000);
      if (kills < KILLS) {
        kills++;
        await kill();
      }
      if (ctx.budgetMs !== undefined) return ctx.more(kills, KILLS);
      const tookMs = performance.now() - startedMs;
      return tookMs < LONGEST_MS && (kills < KILLS || tookMs < DURATION_MS);
    },
  });
  const { missed, doubled, expected } = checkSchedules(history);
  const seconds = Math.round((history.untilMs - history.fromMs) / 1_000);
  ctx.log(
    `${SCHEDULES} schedules, ${seconds} s, ${kills} kills, ${expected} instants, ${history.published.length} tasks`,
  );
  const { published } = history;
  const [first = ''] = published.filter((task) => Number(task.split('@')[1]) === history.fromMs);
  const without = published.filter((task) => task !== first);
  return [
    holds('no instant was missed', missed.length === 0, missed.slice(0, 5).join(', ')),
    holds('no instant was published twice', doubled.length === 0, doubled.slice(0, 5).join(', ')),
    rejectsPlanted('a missed instant', checkSchedules({ ...history, published: without }).missed),
    rejectsPlanted('an instant twice', checkSchedules({ ...history, published: [...published, first] }).doubled),
  ];
}
