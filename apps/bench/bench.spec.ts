import { describe, expect, it } from '@jest/globals';
import { combine, median, runRow, type Bench, type BenchOptions, type Contenders, type Result } from './bench.js';

type Row = Bench['rows'][number];

function row(contenders: Contenders, more: Partial<Row> = {}): Row {
  return { name: 'x.y', unit: 'ms', better: 'lower', target: '≤ 2 × raw', measure: async () => contenders, ...more };
}

async function run(given: Row, rounds = 3): Promise<{ result: Result; lines: string[] }> {
  const lines: string[] = [];
  const redis = Object.create(null) as BenchOptions['redis'];
  const options = { redis, rounds, quick: true, print: (line: string) => lines.push(line) };
  return { result: await runRow(given, options), lines };
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
      raw: figures(99, 1, 1, 4),
      peers: { slow: figures(99, 5_000, 6_000, 7_000) },
      close: async () => void closed.push('closed'),
    };
    const { result, lines } = await run(row(contenders, { met: ({ sluice, raw }) => sluice <= 2 * raw! }));
    expect(result).toEqual({ name: 'x.y', unit: 'ms', better: 'lower', sluice: 2, raw: 1, peers: { slow: 6_000 } });
    expect(lines).toEqual([
      '── x.y, ms, lower is better; target ≤ 2 × raw: met',
      '   sluice          2 (1 – 3)  2.00 × raw',
      '   raw             1 (1 – 4)',
      '   slow        6,000 (5,000 – 7,000)  6000.00 × raw',
    ]);
    expect(closed).toEqual(['closed']);
  });

  it('takes turns', async () => {
    const order: string[] = [];
    const as = (name: string) => async () => order.push(name);
    await run(row({ sluice: as('a'), raw: as('b') }), 2);
    expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('says that a target was missed, and does without raw', async () => {
    const { result, lines } = await run(row({ sluice: figures(0, 1, 1, 1) }, { met: () => false }));
    expect(result).toMatchObject({ sluice: 1, raw: null, peers: {} });
    expect(lines[0]).toContain(': MISSED');
  });

  it('closes after a failure, and fails on what is no figure', async () => {
    let closed = 0;
    const close = async (): Promise<void> => {
      closed++;
    };
    await expect(run(row({ sluice: () => Promise.reject(new Error('broken')), close }))).rejects.toThrow('broken');
    await expect(run(row({ sluice: figures(), close }))).rejects.toThrow('x.y: sluice measured NaN');
    expect(closed).toBe(2);
  });
});

it('combines several runs by their medians', () => {
  const results = (sluice: number, raw: number | null, peer: number): Result[] => [
    { name: 'x.y', unit: 'ms', better: 'lower', sluice, raw, peers: { peer } },
  ];
  expect(combine([results(1, 10, 5), results(3, 30, 7), results(2, 20, 6)])).toEqual(results(2, 20, 6));
  expect(combine([results(1, null, 5)])).toEqual(results(1, null, 5));
});

it('takes the middle of an odd, and the mean of the two middle ones of an even number of values', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
});
