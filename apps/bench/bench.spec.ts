import { describe, expect, it } from '@jest/globals';
import {
  combine,
  metAll,
  runRow,
  type Contenders,
  type Figure,
  type Result,
  type Row,
  type RunOptions,
} from './bench.js';
import { tell } from './tell.js';

const FIGURE: Figure = { name: 'x.y', unit: 'ms', better: 'lower', target: '≤ 2 × raw' };
const met: Figure['met'] = ({ sluice, raw }) => sluice <= 2 * (raw ?? 0);

function row(contenders: Contenders, figure: Partial<Figure> = {}, more: Partial<Row> = {}): Row {
  return { figures: [{ ...FIGURE, ...figure }], measure: async () => contenders, ...more };
}

async function run(given: Row, options: Partial<RunOptions> = {}): Promise<{ result: Result; lines: string[] }> {
  const redis = Object.create(null) as RunOptions['redis'];
  const [result] = await runRow(given, { redis, rounds: 3, quick: false, ...options });
  return { result: result!, lines: tell(result!) };
}

/** A measure that returns these one after the other. */
const figures =
  (...values: number[]) =>
  async () =>
    values.shift() ?? Number.NaN;

describe('runRow', () => {
  it('measures in turns after a warm-up and tells medians, ranges and ratios', async () => {
    const closed: string[] = [];
    const contenders = {
      sluice: figures(99, 3, 1, 2),
      raw: figures(99, 2, 1, 4),
      peers: { slow: figures(99, 5_000, 6_000, 7_000) },
      close: async () => void closed.push('closed'),
    };
    const { result, lines } = await run(row(contenders, { met }));
    expect(result).toMatchObject({ name: 'x.y', unit: 'ms', better: 'lower', target: '≤ 2 × raw', verdict: 'met' });
    expect(result).toMatchObject({ sluice: 2, raw: 2, peers: { slow: 6_000 } });
    expect(lines).toEqual([
      '── x.y, ms, lower is better; target ≤ 2 × raw: met',
      '   sluice          2 (1 – 3)  1.00 × raw',
      '   raw             2 (1 – 4)',
      '   slow        6,000 (5,000 – 7,000)  3000.00 × raw',
    ]);
    expect(closed).toEqual(['closed']);
  });

  it('takes turns', async () => {
    const order: string[] = [];
    const as = (name: string) => async () => order.push(name);
    await run(row({ sluice: as('a'), raw: as('b') }), { rounds: 2 });
    expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('warms nothing up where that makes no sense, and has the rounds that the row wants', async () => {
    const given = row({ sluice: figures(1, 2) }, {}, { rounds: 2, warmUp: false });
    expect((await run(given)).result.samples['sluice']).toEqual([1, 2]);
  });

  it('splits rounds into short ones where the row wants it', async () => {
    const given = row({ sluice: figures(0, 1, 2, 3, 4, 5, 6), raw: figures(0, 6, 5, 4, 3, 2, 1) }, {}, { splits: 2 });
    expect((await run(given)).result.samples).toEqual({ sluice: [1, 2, 3, 4, 5, 6], raw: [6, 5, 4, 3, 2, 1] });
  });

  it('takes a quantile of all that the splits of a round measured', async () => {
    const splits = [[9], [1, 2], [3], [10, 20], [30], [5], [5, 5]];
    const sluice = async (): Promise<readonly number[]> => splits.shift() ?? [];
    const given = row({ sluice }, {}, { splits: 2, quantile: 0.5 });
    expect((await run(given)).result.samples).toEqual({ sluice: [2, 20, 5] });
  });

  it('measures a slow peer once, and not at all in a first look', async () => {
    const slow = (): Row => row({ sluice: async () => 1, slowPeers: { slow: figures(60) } });
    expect((await run(slow())).result.peers).toEqual({ slow: 60 });
    expect((await run(slow(), { quick: true })).result.peers).toEqual({});
  });

  it('gives each of several figures its own medians', async () => {
    const pairs = [[9, 9], [1, 10], [3, 30], [2, 20]]; // prettier-ignore
    const sluice = async (): Promise<readonly number[]> => pairs.shift() ?? [];
    const given = { ...row({ sluice }), figures: [FIGURE, { ...FIGURE, name: 'x.z' }] };
    const options = { redis: Object.create(null) as RunOptions['redis'], rounds: 3, quick: true };
    expect((await runRow(given, options)).map(({ name, sluice }) => [name, sluice])).toEqual([['x.y', 2], ['x.z', 20]]); // prettier-ignore
  });

  it('tells what else was going on', async () => {
    const observe: RunOptions['observe'] = async (work) => ({
      result: await work(),
      load: { loopP99Ms: 1.5, serverCpu: 0.42 },
    });
    const { lines } = await run(row({ sluice: async () => 1 }), { observe });
    expect(lines[1]).toContain('[loop 1.5 ms, server 42 %]');
  });

  it('closes after a failure, and fails on what is no figure', async () => {
    let closed = 0;
    const close = async (): Promise<void> => {
      closed++;
    };
    await expect(run(row({ sluice: () => Promise.reject(new Error('broken')), close }))).rejects.toThrow('broken');
    await expect(run(row({ sluice: figures(), close }))).rejects.toThrow('x.y: sluice measured NaN');
    await expect(run(row({ sluice: async () => [1, 2], close }))).rejects.toThrow('x.y: sluice measured 1, 2');
    expect(closed).toBe(3);
  });
});

describe('a verdict', () => {
  const judged = async (sluice: number[], raw: number[]) =>
    (await run(row({ sluice: figures(0, ...sluice), raw: figures(0, ...raw) }, { met }), { rounds: sluice.length }))
      .result.verdict;

  it('is by the medians where the rounds lie close together', async () => {
    expect(await judged([20, 20, 21, 22, 20], [10, 10, 11, 10, 10])).toBe('met');
    expect(await judged([22, 22, 21, 22, 19], [10, 10, 10, 10, 10])).toBe('missed');
  });

  it('is refused where they scatter and contradict each other', async () => {
    expect(await judged([10, 30, 15, 40, 12], [10, 10, 10, 10, 10])).toBe('unclear');
    expect(await judged([15, 15, 15, 15, 15], [10, 4, 12, 5, 10])).toBe('unclear');
  });

  it('stands where both sides scatter alike', async () => {
    expect(await judged([19, 42, 60, 21, 38], [10, 20, 31, 10, 20])).toBe('met');
    expect(await judged([21, 42, 66, 19.9, 44], [10, 20, 31, 10, 20])).toBe('missed');
  });

  it('stands where they scatter and all say the same', async () => {
    expect(await judged([1, 9, 3, 7, 2], [10, 10, 10, 10, 10])).toBe('met');
    expect(await judged([100, 900, 300, 700, 200], [10, 10, 10, 10, 10])).toBe('missed');
  });

  it('stands where they scatter, and more say the same than chance explains', async () => {
    const rounds = (agreeing: number): number[] =>
      Array.from({ length: 25 }, (_, i) => (i < agreeing ? 5 + i : 30 + i));
    const raw = new Array<number>(25).fill(12);
    expect(await judged(rounds(18), raw)).toBe('met');
    expect(await judged(rounds(17), raw)).toBe('unclear');
  });

  it('is none without a target, and without raw it is about the figure alone', async () => {
    expect((await run(row({ sluice: async () => 1 }))).result.verdict).toBe('none');
    expect((await run(row({ sluice: async () => 7 }, { met: ({ sluice }) => sluice <= 7 }))).result.verdict).toBe(
      'met',
    );
  });
});

describe('several runs', () => {
  const results = (sluice: number, raw: number | null, peer: number, verdict: Result['verdict'] = 'met'): Result[] => [
    { ...FIGURE, sluice, raw, peers: { peer }, verdict, samples: { sluice: [sluice] }, load: {} },
  ];

  it('are combined by their medians', () => {
    expect(combine([results(1, 10, 5), results(3, 30, 7), results(2, 20, 6)])).toMatchObject(results(2, 20, 6).map(
      (result) => ({ ...result, samples: { sluice: [1, 3, 2] } }),
    )); // prettier-ignore
    expect(combine([results(1, null, 5)])).toEqual(results(1, null, 5));
  });

  it('have met a target if more than half of them did', () => {
    const verdicts = (...of: Result['verdict'][]) =>
      combine(of.map((verdict) => results(1, 1, 1, verdict)))[0]?.verdict;
    expect(verdicts('met', 'met', 'met', 'missed')).toBe('met');
    expect(verdicts('met', 'met', 'missed', 'unclear')).toBe('missed');
    expect(verdicts('met', 'unclear')).toBe('unclear');
    expect(verdicts('none', 'none')).toBe('none');
  });

  it('say of each whether all targets were met', () => {
    expect(metAll([...results(1, 1, 1), ...results(1, 1, 1, 'none')])).toBe(true);
    expect(metAll([...results(1, 1, 1), ...results(1, 1, 1, 'unclear')])).toBe(false);
  });
});
