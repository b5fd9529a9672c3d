import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { unexplained } from '../../support/data-loss.js';
import { failovers } from './failovers.js';

async function run(ctx: ChaosContext): Promise<Verdict[]> {
  const { history, losses, summary, verdicts } = await failovers(ctx, ['lock']);
  ctx.log(summary);
  const { violations } = history;
  const wrong = unexplained(violations, losses);
  const [first] = history.holds.sort((a, b) => (a.from < b.from ? -1 : 1));
  if (first?.token === undefined) return [holds('locks are held', false)];
  const planted = { ...first, by: 'planted' };
  return [
    holds(
      'no two hold a lock, and no token falls, except for a grant that a failover lost',
      wrong.length === 0,
      `${history.holds.length} holds, ${violations.length - wrong.length} violations explained by a loss${wrong.length > 0 ? `; ${JSON.stringify(wrong[0], bigints)}` : ''}`,
    ),
    rejectsPlanted(
      'a second holder before the first failover',
      unexplained(history.and({ holds: [{ ...planted, token: first.token + 1 }] }).violations, losses),
    ),
    rejectsPlanted(
      'a token that falls before the first failover',
      unexplained(history.and({ holds: [{ ...planted, from: first.to, token: first.token - 1 }] }).violations, losses),
    ),
    ...verdicts,
  ];
}

const bigints = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

export default defineChaos({
  feature: 'lock',
  scenarios: {
    failovers: {
      about: 'primaries are killed, frozen, replaced and isolated, while three processes compete for locks',
      run,
    },
  },
});
