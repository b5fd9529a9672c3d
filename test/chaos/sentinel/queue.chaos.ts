import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { failovers } from './failovers.js';

async function run(ctx: ChaosContext): Promise<Verdict[]> {
  const { history, windows, summary, verdicts } = await failovers(ctx, ['queue']);
  ctx.log(summary);
  const { inside, outside } = history.lost(windows);
  const earliestMs = Math.min(...windows.map(([fromMs]) => fromMs));
  const planted = { published: [{ n: 'planted', atMs: earliestMs - 1 }] };
  return [
    holds(
      'every acknowledged task ran, except for those that a failover lost',
      outside.length === 0 && history.published.length > 0,
      `${history.published.length} acknowledged, ${history.twice} ran again; lost with a failover: ${inside.length}; ` +
        `lost otherwise: ${outside.length}`,
    ),
    rejectsPlanted('a task lost before the first failover', history.and(planted).lost(windows).outside),
    ...verdicts,
  ];
}

export default defineChaos({
  feature: 'queue',
  scenarios: {
    failovers: {
      about:
        'primaries are killed, frozen, replaced and isolated, while three processes publish and run tasks, also delayed ones',
      run,
    },
  },
});
