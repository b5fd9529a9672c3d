import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { BOUND_MS } from '../../support/fleet-records.js';
import { failovers } from './failovers.js';

async function run(ctx: ChaosContext): Promise<Verdict[]> {
  const { history, windows, summary, verdicts } = await failovers(ctx, ['cache']);
  ctx.log(summary);
  const { inside, outside } = history.stale(windows);
  const earliestMs = Math.min(...windows.map(([fromMs]) => fromMs));
  const [gone] = history.invalidations.filter(({ ackedMs }) => ackedMs < earliestMs);
  if (gone === undefined) return [holds('the cache is invalidated', false)];
  const { key, sentMs, ackedMs } = gone;
  const planted = { by: 'planted', key, loadedMs: sentMs - 1, askedMs: ackedMs + BOUND_MS + 1 };
  return [
    holds(
      `no read gets what was invalidated ${BOUND_MS} ms before it began, except for an invalidation that a failover lost`,
      outside.length === 0,
      `${history.reads.length} reads, ${history.invalidations.length} acknowledged invalidations; stale after a lost one: ` +
        `${inside.length}, at most ${Math.round(Math.max(0, ...inside))} ms longer` +
        (outside.length > 0 ? `; wrong: ${outside.length}, at most ${Math.round(Math.max(...outside))} ms` : ''),
    ),
    rejectsPlanted('a stale read before the first failover', history.and({ reads: [planted] }).stale(windows).outside),
    ...verdicts,
  ];
}

export default defineChaos({
  feature: 'cache',
  scenarios: {
    failovers: {
      about:
        'primaries are killed, frozen, replaced and isolated, while three processes read and invalidate with local copies',
      run,
    },
  },
});
