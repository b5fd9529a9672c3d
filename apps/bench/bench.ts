/** How every row is measured: side by side in turns on one server in one run, told as medians and as a ratio to raw. */
import type { RedisServer } from 'nestjs-sluice/testing';

export interface BenchContext {
  /** The private server of this run. A row that needs another one starts it itself. */
  readonly redis: RedisServer;
  /** A first look: rows may do less work. */
  readonly quick: boolean;
}

/** Does the work once and returns one figure, in the row's unit. */
export type Measure = () => Promise<number>;

/** What is measured against each other. The first round of each is a warm-up and not counted. */
export interface Contenders {
  sluice: Measure;
  /** The same work by hand with ioredis, where that can be said. */
  raw?: Measure;
  /** By npm name. */
  peers?: Record<string, Measure>;
  /** Runs after the last round, also after a failed one. */
  close?: () => Promise<void>;
}

export interface Figures {
  sluice: number;
  raw: number | null;
  peers: Record<string, number>;
}

export interface Row {
  /** `lock.pair`: the key in results.json. */
  name: string;
  unit: string;
  better: 'lower' | 'higher';
  /** In words: `≤ 1.15 × raw, below every peer`. */
  target: string;
  /** The same in code. */
  met?: (figures: Figures) => boolean;
  measure(ctx: BenchContext): Promise<Contenders>;
}

export interface Bench {
  feature: string;
  rows: Row[];
}

/**
 * The default export of `apps/bench/<feature>.bench.ts`.
 *
 * @example
 * export default defineBench({
 *   feature: 'lock',
 *   rows: [{ name: 'lock.pair', unit: 'ms', better: 'lower', target: '≤ 1.15 × raw', measure: async ({ redis }) => … }],
 * });
 */
export function defineBench(bench: Bench): Bench {
  return bench;
}

/** One line of `results.json`. */
export interface Result extends Figures {
  name: string;
  unit: string;
  better: 'lower' | 'higher';
}

export interface BenchOptions extends BenchContext {
  rounds: number;
  print: (line: string) => void;
}

/** Measures one row: a warm-up each, then `rounds` in turns (A B A B), so that what drifts drifts for all. */
export async function runRow(row: Row, options: BenchOptions): Promise<Result> {
  const contenders = await row.measure(options);
  const measures = Object.entries({ sluice: contenders.sluice, raw: contenders.raw, ...contenders.peers }).filter(
    (entry): entry is [string, Measure] => entry[1] !== undefined,
  );
  const samples = new Map<string, number[]>(measures.map(([name]) => [name, []]));
  try {
    for (let round = 0; round <= options.rounds; round++) {
      for (const [name, measure] of measures) {
        const figure = await measure();
        if (!Number.isFinite(figure)) throw new Error(`${row.name}: ${name} measured ${figure}`);
        if (round > 0) samples.get(name)?.push(figure);
      }
    }
  } finally {
    await contenders.close?.();
  }
  for (const line of tell(row, samples)) options.print(line);
  return { name: row.name, unit: row.unit, better: row.better, ...figures(samples) };
}

function figures(samples: ReadonlyMap<string, readonly number[]>): Figures {
  const medians = Object.fromEntries([...samples].map(([name, all]) => [name, median(all)]));
  const { sluice = Number.NaN, raw = null, ...peers } = medians;
  return { sluice, raw, peers };
}

function tell(row: Row, samples: ReadonlyMap<string, readonly number[]>): string[] {
  const all = figures(samples);
  const met = row.met === undefined ? '' : row.met(all) ? ': met' : ': MISSED';
  const width = Math.max(...[...samples.keys()].map((name) => name.length));
  const lines = [...samples].map(([name, values]) => {
    const range = `(${show(Math.min(...values))} – ${show(Math.max(...values))})`;
    const ratio = all.raw === null || name === 'raw' ? '' : `  ${(median(values) / all.raw).toFixed(2)} × raw`;
    return `   ${name.padEnd(width)}  ${show(median(values)).padStart(9)} ${range}${ratio}`;
  });
  return [`── ${row.name}, ${row.unit}, ${row.better} is better; target ${row.target}${met}`, ...lines];
}

/** Several runs as one: the median of each figure. */
export function combine(runs: readonly (readonly Result[])[]): Result[] {
  const [first = []] = runs;
  return first.map((result, i) => {
    const same = runs.map((run) => run[i]).filter((other) => other !== undefined);
    const raws = same.map((other) => other.raw).filter((raw) => raw !== null);
    const peers = Object.keys(result.peers).map((peer) => [peer, median(same.map((other) => other.peers[peer] ?? 0))]);
    return {
      ...result,
      sluice: median(same.map((other) => other.sluice)),
      raw: raws.length > 0 ? median(raws) : null,
      peers: Object.fromEntries(peers) as Record<string, number>,
    };
  });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Three or more significant digits, thousands apart: 0.247, 12.3, 41,500. */
function show(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}
