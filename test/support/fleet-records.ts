import { checkIntervals, type Interval, type Violation } from './history.js';

/** What an app of the fleet does all the time, by feature. Each of them needs Redis. */
export const WORK = { lock: ['lock'], cache: ['invalidate'], queue: ['publish', 'run'] } as const;
export type Feature = keyof typeof WORK;
export type Work = (typeof WORK)[Feature][number];

/** A local copy may be served for so long after an acknowledged invalidation, in milliseconds. */
export const BOUND_MS = 1_000;

/** What one app has done. All times are of `nowMs()`, which all processes share. */
export interface FleetRecords {
  /** Tasks that were acknowledged. */
  published: Published[];
  runs: string[];
  holds: Interval[];
  invalidations: Invalidated[];
  reads: Read[];
  /** Messages of errors by code. */
  errors: Map<string, string>;
}

interface Published {
  n: string;
  /** When it was acknowledged. */
  atMs: number;
}

interface Invalidated {
  by: string;
  key: string;
  sentMs: number;
  ackedMs: number;
}

interface Read {
  by: string;
  key: string;
  askedMs: number;
  /** When the load of its value began. */
  loadedMs: number;
}

/** A stretch of time in which a failover may have lost what was acknowledged. */
export type LossWindow = readonly [fromMs: number, toMs: number];

/** What came of the work of all apps. What happened in a window of loss is told apart, not left out. */
export class FleetHistory {
  readonly #of: readonly FleetRecords[];

  constructor(of: readonly FleetRecords[]) {
    this.#of = of;
  }

  /** The messages of errors by code. A fault may cause errors of its kind only. */
  get errors(): Map<string, string> {
    return new Map(this.#of.flatMap(({ errors }) => [...errors]));
  }

  get holds(): Interval[] {
    return this.#of.flatMap(({ holds }) => holds);
  }

  /** Two holders at a time, and tokens that do not grow. */
  get violations(): Violation[] {
    return checkIntervals(this.holds);
  }

  get reads(): Read[] {
    return this.#of.flatMap(({ reads }) => reads);
  }

  get invalidations(): Invalidated[] {
    return this.#of.flatMap(({ invalidations }) => invalidations);
  }

  get published(): Published[] {
    return this.#of.flatMap(({ published }) => published);
  }

  /** The same history, and what a test plants in it. */
  and(planted: Partial<FleetRecords>): FleetHistory {
    const nothing: FleetRecords = {
      ...{ published: [], runs: [], holds: [], invalidations: [], reads: [], errors: new Map() },
    };
    return new FleetHistory([...this.#of, { ...nothing, ...planted }]);
  }

  /** Tasks that were acknowledged and never ran: in a window of loss, and outside. */
  lost(windows: readonly LossWindow[] = []): { inside: Published[]; outside: Published[] } {
    const ran = new Set(this.#of.flatMap(({ runs }) => runs));
    const lost = this.published.filter(({ n }) => !ran.has(n));
    const [inside, outside] = split(lost, ({ atMs }) => within(windows, atMs));
    return { inside, outside };
  }

  /** How many tasks ran more than once. */
  get twice(): number {
    const counts = new Map<string, number>();
    for (const n of this.#of.flatMap(({ runs }) => runs)) counts.set(n, (counts.get(n) ?? 0) + 1);
    return [...counts.values()].filter((count) => count > 1).length;
  }

  /**
   * By how many milliseconds reads were later than the bound after an invalidation whose value they still served. Apart are those
   * of invalidations that were acknowledged in a window of loss.
   */
  stale(windows: readonly LossWindow[] = []): { inside: number[]; outside: number[] } {
    const late: { ackedMs: number; ms: number }[] = [];
    const byKey = new Map<string, Invalidated[]>();
    for (const one of this.invalidations.sort((a, b) => a.sentMs - b.sentMs))
      byKey.set(one.key, [...(byKey.get(one.key) ?? []), one]);
    for (const read of this.reads) {
      const of = byKey.get(read.key) ?? [];
      // Those that were sent after the load, in time for this read. Few are, because a load follows an invalidation soon.
      for (let i = firstAfter(of, read.loadedMs); i < of.length; i++) {
        const { by, sentMs, ackedMs } = of[i] as Invalidated;
        if (sentMs > read.askedMs) break;
        const ms = read.askedMs - ackedMs - BOUND_MS;
        if (by !== read.by && ms > 0) late.push({ ackedMs, ms });
      }
    }
    const [inside, outside] = split(late, ({ ackedMs }) => within(windows, ackedMs));
    return { inside: inside.map(({ ms }) => ms), outside: outside.map(({ ms }) => ms) };
  }
}

const within = (windows: readonly LossWindow[], ms: number): boolean =>
  windows.some(([fromMs, toMs]) => ms >= fromMs && ms <= toMs);

function split<T>(all: readonly T[], first: (one: T) => boolean): [T[], T[]] {
  return [all.filter(first), all.filter((one) => !first(one))];
}

/** The position of the first one that was sent after `ms`, by bisection. */
function firstAfter(sorted: readonly Invalidated[], ms: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as Invalidated).sentMs > ms) high = middle;
    else low = middle + 1;
  }
  return low;
}
