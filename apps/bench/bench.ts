/** How every row is measured: side by side in turns on one server in one run. */
import type { RedisServer } from 'nestjs-sluice/testing';
import type { Load, Observe } from './load.js';
import type { PeerSettings } from './peer.js';
import { byChance, median, quantile, relativeSpread } from './statistics.js';

export interface BenchContext {
  /** The private server of this run. A row that needs another one starts it itself. */
  readonly redis: RedisServer;
  /** A first look: rows do less work. */
  readonly quick: boolean;
}

/** Does the work once and returns what each figure of the row is about, in its unit. */
export type Measure = () => Promise<number | readonly number[]>;

/** What is measured against each other. The first round of each is a warm-up and not counted. */
export interface Contenders {
  sluice: Measure;
  /** The same work by hand with ioredis, where that can be said. */
  raw?: Measure;
  /** By npm name. */
  peers?: Record<string, Measure>;
  /** Peers that need a minute for one round: measured once, without warm-up, and not at all in a first look. */
  slowPeers?: Record<string, Measure>;
  /** Runs after the last round, also after a failed one. */
  close?: () => Promise<void>;
}

export interface Values {
  sluice: number;
  raw: number | null;
  peers: Record<string, number>;
}

/** One line of the table. */
export interface Figure {
  /** `lock.pair`: the key in results.json. */
  name: string;
  unit: string;
  better: 'lower' | 'higher';
  /** In words: `≤ 1.15 × raw, below every peer`. */
  target: string;
  /** The same in code. */
  met?: (values: Values) => boolean;
}

/** What is measured in one go. Most rows have one figure; two percentiles of one run are two. */
export interface Row {
  figures: readonly Figure[];
  /** Default: as many as the run says. For work that takes seconds. */
  rounds?: number;
  /** Each round is this many short ones, so that the contenders follow each other closely. For work that takes no fixed time. */
  splits?: number;
  /**
   * The figure of a round is this quantile of all that its splits measured, many samples each. Default: each split is a round.
   */
  quantile?: number;
  /** Default true. False where a fresh process does the work, so that there is nothing to warm. */
  warmUp?: boolean;
  measure(ctx: BenchContext): Promise<Contenders>;
}

export interface Bench {
  feature: string;
  /** What the peers were set to. Sluice is at its defaults. */
  peers: readonly PeerSettings[];
  rows: readonly Row[];
  curves: readonly Curve[];
}

/** Something that depends on something: a plot, for understanding, without a target. */
export interface Curve {
  /** Its file is `docs/benchmarks/<name>.svg`. */
  name: string;
  title: string;
  x: string;
  y: string;
  /** Default: both logarithmic. */
  scale?: { x?: 'linear'; y?: 'linear' };
  measure(ctx: BenchContext): Promise<Series>;
}

/** Per contender, the points that were measured. */
export type Series = Record<string, [x: number, y: number][]>;

/** `unclear`: the rounds scatter so much that the medians prove nothing. */
export type Verdict = 'met' | 'missed' | 'unclear' | 'none';

/** One line of `results.json`. */
export interface Result extends Values {
  name: string;
  unit: string;
  better: 'lower' | 'higher';
  target: string;
  verdict: Verdict;
  /** Per contender. */
  samples: Record<string, readonly number[]>;
  load: Record<string, Load>;
}

/**
 * The default export of `apps/bench/<feature>.bench.ts`.
 *
 * @example
 * export default defineBench({
 *   feature: 'lock',
 *   rows: [{ figures: [{ name: 'lock.pair', unit: 'ms', … }], measure: async ({ redis }) => ({ sluice, raw, peers }) }],
 * });
 */
export function defineBench(bench: Bench): Bench {
  return bench;
}

export interface RunOptions extends BenchContext {
  rounds: number;
  /** Watches the event loop and the server while a contender works. */
  observe?: Observe;
}

/** The middle half of what a claim rests on may reach over this share of its median, or the rounds must agree with it. */
const SPREAD_LIMIT = 0.2;

/**
 * Rounds that agree are believed if a coin would agree so often no more than once in 32 times: as five of five do, and 18 of 25.
 */
const CHANCE_LIMIT = 1 / 32;

/** Measures one row: a warm-up each, then the rounds in turns (A B A B), so that what drifts drifts for all. */
export async function runRow(row: Row, options: RunOptions): Promise<Result[]> {
  const { sluice, raw, peers, slowPeers = {}, close } = await row.measure(options);
  const inTurns = Object.entries({ sluice, raw, ...peers }).filter(
    (entry): entry is [string, Measure] => entry[1] !== undefined,
  );
  const once = options.quick ? [] : Object.entries(slowPeers);
  // A first look takes fewer samples.
  const splits = (options.quick && row.quantile !== undefined ? 2 : row.splits) ?? 1;
  const pools = new Map<string, (readonly number[])[]>();
  const pool = (name: string, samples: readonly number[]): readonly number[] | undefined => {
    if (row.quantile === undefined) return samples;
    const all = pools.get(name) ?? [];
    all.push(samples);
    pools.set(name, all.length < splits ? all : []);
    return all.length < splits ? undefined : [quantile(all.flat(), row.quantile)];
  };
  const taken = new Map<string, { figures: (readonly number[])[]; loads: Load[] }>();
  const take = async ([name, measure]: [string, Measure], counted: boolean): Promise<void> => {
    const { result, load } = await (options.observe ?? unobserved)(measure);
    const samples = typeof result === 'number' ? [result] : result;
    const isWhole = row.quantile === undefined ? samples.length === row.figures.length : samples.length > 0;
    if (!isWhole || !samples.every(Number.isFinite)) {
      throw new Error(`${row.figures.map((figure) => figure.name).join(', ')}: ${name} measured ${samples.join(', ')}`);
    }
    if (!counted) return;
    if (!taken.has(name)) taken.set(name, { figures: [], loads: [] });
    const figures = pool(name, samples);
    if (figures) taken.get(name)?.figures.push(figures);
    if (load) taken.get(name)?.loads.push(load);
  };
  try {
    const rounds = (options.quick ? options.rounds : (row.rounds ?? options.rounds)) * splits;
    for (let round = row.warmUp === false ? 1 : 0; round <= rounds; round++) {
      for (const contender of inTurns) await take(contender, round > 0);
    }
    for (const contender of once) await take(contender, true);
  } finally {
    await close?.();
  }
  const load = Object.fromEntries(
    [...taken].flatMap(([name, { loads }]) => (loads.length > 0 ? [[name, middle(loads)]] : [])),
  );
  return row.figures.map((figure, i) => {
    const samples = Object.fromEntries(
      [...taken].map(([name, { figures }]) => [name, figures.map((of) => of[i] ?? Number.NaN)]),
    );
    const { name, unit, better, target } = figure;
    return { name, unit, better, target, ...valuesOf(samples, median), verdict: judge(figure, samples), samples, load };
  });
}

/** Several runs as one: the median of each figure. */
export function combine(runs: readonly (readonly Result[])[]): Result[] {
  const [first = []] = runs;
  return first.map((result) => {
    const same = runs.flatMap((run) => run.filter((other) => other.name === result.name));
    const samples = Object.fromEntries(
      Object.keys(result.samples).map((name) => [name, same.flatMap((other) => other.samples[name] ?? [])]),
    );
    const metOften = same.filter((other) => other.verdict === 'met').length * 2 > same.length;
    const verdict = result.verdict === 'none' ? 'none' : metOften ? 'met' : (worst(same) ?? 'missed');
    const raws = same.flatMap((other) => other.raw ?? []);
    const peers = Object.keys(result.peers).map((peer) => [peer, median(same.flatMap((o) => o.peers[peer] ?? []))]);
    return {
      ...result,
      sluice: median(same.map((other) => other.sluice)),
      raw: raws.length > 0 ? median(raws) : null,
      peers: Object.fromEntries(peers) as Record<string, number>,
      verdict,
      samples,
    };
  });
}

/** Whether all figures with a target met it. */
export const metAll = (run: readonly Result[]): boolean =>
  run.every(({ verdict }) => verdict === 'met' || verdict === 'none');

function worst(results: readonly Result[]): Verdict | undefined {
  return (['missed', 'unclear'] as const).find((verdict) => results.some((result) => result.verdict === verdict));
}

/**
 * By the medians, if they can be trusted: the samples of both sides lie close together, or those of one round stand in the same
 * ratio each time (a machine that grows slow does so for both), or so many rounds by themselves say the same that it is no
 * chance (a latency of 3 or 6 ms scatters, and is below 50 for all that).
 */
function judge({ met }: Figure, samples: Record<string, readonly number[]>): Verdict {
  if (met === undefined) return 'none';
  const verdict = met(valuesOf(samples, median));
  const { sluice = [], raw } = samples;
  const isCalm = (values: readonly number[]): boolean => values.length < 2 || relativeSpread(values) <= SPREAD_LIMIT;
  const ratios = raw?.map((value, i) => (sluice[i] ?? Number.NaN) / value);
  const calm = [sluice, raw ?? []].every(isCalm) || (ratios !== undefined && isCalm(ratios));
  const agreeing = sluice.filter((_, i) => met(valuesOf(samples, (of) => of[i] ?? median(of))) === verdict).length;
  const certain = agreeing === sluice.length || byChance(agreeing, sluice.length) <= CHANCE_LIMIT;
  return calm || certain ? (verdict ? 'met' : 'missed') : 'unclear';
}

function valuesOf(samples: Record<string, readonly number[]>, pick: (values: readonly number[]) => number): Values {
  const { sluice = [], raw, ...peers } = samples;
  return {
    sluice: pick(sluice),
    raw: raw === undefined ? null : pick(raw),
    peers: Object.fromEntries(Object.entries(peers).map(([name, values]) => [name, pick(values)])),
  };
}

function middle(loads: readonly Load[]): Load {
  return {
    loopP99Ms: median(loads.map((load) => load.loopP99Ms)),
    serverCpu: median(loads.map((load) => load.serverCpu)),
  };
}

const unobserved: Observe = async (work) => ({ result: await work(), load: undefined });
