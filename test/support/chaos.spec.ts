import { describe, expect, it } from '@jest/globals';
import { alive } from './alive.js';
import {
  defineChaos,
  holds,
  inRounds,
  rejectsPlanted,
  runChaos,
  seeded,
  type Chaos,
  type ChaosOptions,
} from './chaos.js';

const planted = { about: 'plants', run: async () => [rejectsPlanted('an overlap', ['one'])] };

async function told(chaos: Chaos, options: Partial<ChaosOptions> = {}): Promise<{ tally: unknown; lines: string[] }> {
  const lines: string[] = [];
  const tally = await runChaos(chaos, { seed: 1, print: (line) => lines.push(line), ...options });
  return { tally, lines };
}

describe('runChaos', () => {
  it('tells what was injected and counts the verdicts', async () => {
    const chaos = defineChaos({
      feature: 'lock',
      scenarios: {
        kill: {
          about: 'holders die',
          run: async (ctx) => {
            ctx.log('killed 3');
            return [holds('one at a time', true, '0 overlaps'), holds('all end', false)];
          },
        },
        planted,
      },
    });
    const { tally, lines } = await told(chaos);
    expect(tally).toEqual({ passed: 2, failed: 1 });
    expect(lines).toEqual([
      '── lock · kill: holders die',
      '   killed 3',
      '✓  one at a time (0 overlaps)',
      '✗  all end',
      '── lock · planted: plants',
      '✓  planted violation rejected: an overlap (1 found)',
    ]);
    expect((await told(chaos, { scenario: 'kill' })).tally).toEqual({ passed: 1, failed: 1 });
  });

  it('fails a planted violation that goes unseen, a scenario that throws, and one without a verdict', async () => {
    const scenarios = {
      unseen: { about: '', run: async () => [rejectsPlanted('an overlap', [])] },
      throws: { about: '', run: async () => Promise.reject(new Error('no such app')) },
      silent: { about: '', run: async () => [] },
    };
    const { tally, lines } = await told({ feature: 'x', scenarios });
    expect(tally).toEqual({ passed: 0, failed: 3 });
    expect(lines.join('\n')).toContain('no such app');
  });

  it('fails a feature whose checker nothing proves', async () => {
    const scenarios = { kill: { about: '', run: async () => [holds('all well', true)] } };
    expect((await told({ feature: 'x', scenarios })).tally).toEqual({ passed: 1, failed: 1 });
    expect((await told({ feature: 'x', scenarios }, { scenario: 'kill' })).tally).toEqual({ passed: 1, failed: 0 });
  });

  it('runs to the counts without a budget, and by the clock with one, split evenly', async () => {
    const rounds: number[] = [];
    const budgets: (number | undefined)[] = [];
    const counting = {
      about: '',
      run: async (ctx: Parameters<Chaos['scenarios'][string]['run']>[0]) => {
        let done = 0;
        budgets.push(ctx.budgetMs);
        while (ctx.more(done, 2)) {
          done++;
          await new Promise(setImmediate);
        }
        rounds.push(done);
        return [holds('done', true)];
      },
    };
    const chaos = { feature: 'x', scenarios: { one: counting, two: counting, planted } };
    await told(chaos);
    expect(rounds).toEqual([2, 2]);
    const started = performance.now();
    await told(chaos, { budgetMs: 600 });
    // A third of it for each of three; the second one's is a little less after whatever the first took too much.
    expect(budgets[2]).toBeLessThanOrEqual(200);
    expect(budgets[2]).toBeGreaterThan(150);
    expect(budgets[3]).toBeLessThanOrEqual(201);
    expect(performance.now() - started).toBeGreaterThanOrEqual(budgets[2]! + budgets[3]!);
    expect(rounds[2]).toBeGreaterThan(2);
  });

  it('leaves each scenario its share and its first round, also after one that took all the time', async () => {
    const rounds: number[] = [];
    const budgets: (number | undefined)[] = [];
    const greedy = {
      about: '',
      run: async () => {
        for (const startedMs = performance.now(); performance.now() - startedMs < 60;);
        return [holds('done', true)];
      },
    };
    const robbed = {
      about: '',
      run: async (ctx: Parameters<Chaos['scenarios'][string]['run']>[0]) => {
        budgets.push(ctx.budgetMs);
        let done = 0;
        while (ctx.more(done, 1)) done++;
        rounds.push(done);
        return [holds('done', true)];
      },
    };
    await told({ feature: 'x', scenarios: { greedy, robbed, planted } }, { budgetMs: 30 });
    expect(budgets).toEqual([10]);
    await told({ feature: 'x', scenarios: { robbed, planted } }, { budgetMs: 0 });
    expect(rounds[1]).toBe(1);
  });

  it("stops a scenario's servers, also after it has failed", async () => {
    const pids: number[] = [];
    const failing = {
      about: '',
      run: async (ctx: Parameters<Chaos['scenarios'][string]['run']>[0]) => {
        const redis = await ctx.startRedis();
        expect(alive(redis.pid)).toBe(true);
        pids.push(redis.pid);
        throw new Error('as planned');
      },
    };
    const { lines } = await told({ feature: 'x', scenarios: { failing, planted } });
    expect(lines[1]).toContain('as planned');
    expect(pids.map(alive)).toEqual([false]);
  });

  it('draws each kind of fault once in every round, in the order of the seed', () => {
    const kinds = ['kill', 'freeze', 'planned', 'isolated'];
    const orders = Array.from({ length: 100 }, (_, seed) => {
      const draws = inRounds(kinds, seeded(seed));
      const [first, second] = [0, 1].map(() => kinds.map(() => draws.next().value));
      for (const round of [first, second]) expect([...round!].sort()).toEqual([...kinds].sort());
      return [...first!, ...second!].join(' ');
    });
    expect(new Set(orders).size).toBeGreaterThan(50);
    const again = inRounds(kinds, seeded(7));
    expect(Array.from({ length: 8 }, () => again.next().value).join(' ')).toBe(orders[7]);
  });

  it('draws the same faults for the same seed', async () => {
    const draw = (seed: number): number[] => Array.from({ length: 1_000 }, seeded(seed));
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    const drawn = draw(7);
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...drawn)).toBeLessThan(1);
    expect(drawn.reduce((sum, one) => sum + one, 0) / 1_000).toBeCloseTo(0.5, 1);
  });
});
