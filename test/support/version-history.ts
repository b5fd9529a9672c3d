import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** A read of a cached key, on the machine's monotonic clock; values are versions of the source. */
export interface VersionRead {
  key: string;
  version: number;
  start: bigint;
  by: string;
  /** Read with `consistency: 'strict'`. */
  strict?: boolean;
}

/** An invalidation that was acknowledged: the source had this version before it began. */
export interface Invalidation {
  key: string;
  version: number;
  acknowledged: bigint;
  by: string;
}

export interface VersionHistory {
  reads: VersionRead[];
  invalidations: Invalidation[];
}

type Line =
  { r: [key: string, version: number, start: string, strict?: 1] } | { i: [key: string, version: number, at: string] };

/** The log of one process, written at once and in order: what was written survives SIGKILL. */
export class VersionLog {
  readonly #file: number;

  constructor(dir: string, by: string) {
    mkdirSync(dir, { recursive: true });
    this.#file = openSync(join(dir, `${by}.jsonl`), 'ax');
  }

  read(key: string, version: number, start: bigint, strict = false): void {
    this.#write({ r: strict ? [key, version, String(start), 1] : [key, version, String(start)] });
  }

  invalidated(key: string, version: number, acknowledged: bigint): void {
    this.#write({ i: [key, version, String(acknowledged)] });
  }

  end(): void {
    closeSync(this.#file);
  }

  #write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}

export function readVersionHistory(dir: string): VersionHistory {
  const history: VersionHistory = { reads: [], invalidations: [] };
  for (const file of readdirSync(dir)) {
    const by = file.replace(/\.jsonl$/, '');
    // What follows the last newline is nothing, or a line that its process died in.
    for (const text of readFileSync(join(dir, file), 'utf8').split('\n').slice(0, -1)) {
      const line = JSON.parse(text) as Line;
      if ('r' in line) {
        const [key, version, start, strict] = line.r;
        history.reads.push({ key, version, start: BigInt(start), by, ...(strict && { strict: true }) });
      } else {
        const [key, version, at] = line.i;
        history.invalidations.push({ key, version, acknowledged: BigInt(at), by });
      }
    }
  }
  return history;
}

export interface StaleRead {
  read: VersionRead;
  /** The invalidation whose version it should have had, or a later one. */
  missed: Invalidation;
}

/**
 * Reads that got an older version than they had to: in the invalidating process, and of strict reads, whatever was
 * acknowledged before the read began; in other processes what was acknowledged more than `boundMs` before.
 */
export function staleReads({ reads, invalidations }: VersionHistory, boundMs: number): StaleRead[] {
  const bound = BigInt(boundMs) * 1_000_000n;
  const anywhere = highestOverTime(invalidations, ({ key }) => key);
  const own = highestOverTime(invalidations, ({ key, by }) => JSON.stringify([key, by]));
  return reads.flatMap((read) => {
    const known = [
      before(own.get(JSON.stringify([read.key, read.by])), read.start),
      before(anywhere.get(read.key), read.strict ? read.start : read.start - bound),
    ];
    const missed = known.find((invalidation) => invalidation && invalidation.version > read.version);
    return missed ? [{ read, missed }] : [];
  });
}

/** Per group, in the order of time, those that raised the highest version so far. */
function highestOverTime(
  invalidations: readonly Invalidation[],
  groupOf: (invalidation: Invalidation) => string,
): Map<string, Invalidation[]> {
  const groups = new Map<string, Invalidation[]>();
  const inTime = [...invalidations].sort((a, b) => (a.acknowledged < b.acknowledged ? -1 : 1));
  for (const invalidation of inTime) {
    const group = groups.get(groupOf(invalidation)) ?? [];
    groups.set(groupOf(invalidation), group);
    const highest = group.at(-1);
    if (!highest || invalidation.version > highest.version) group.push(invalidation);
  }
  return groups;
}

/** The last one acknowledged before `time`. */
function before(group: readonly Invalidation[] = [], time: bigint): Invalidation | undefined {
  let [low, high] = [0, group.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (group[middle] && group[middle].acknowledged < time) low = middle + 1;
    else high = middle;
  }
  return group[low - 1];
}
