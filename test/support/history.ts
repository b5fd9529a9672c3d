import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Nanoseconds on the machine's monotonic clock: one scale for all processes of the machine. */
export const now = (): bigint => process.hrtime.bigint();

/** The same clock in milliseconds. */
export const nowMs = (): number => Number(now()) / 1e6;

/** One stretch of time in which `by` claims to have held `name`. */
export interface Interval {
  name: string;
  from: bigint;
  to: bigint;
  by: string;
  /** A fencing token, where there is one. */
  token?: number;
}

type Line = { open: number; name: string; at: string; token?: number } | { close: number; at: string };

/**
 * The log of one process: JSON lines in a file of its own, written at once and in order, so that what was written
 * survives SIGKILL.
 */
export class History {
  readonly #file: number;
  #next = 1;

  constructor(dir: string, by: string = String(process.pid)) {
    mkdirSync(dir, { recursive: true });
    // 'x': a second log of one name would mix two histories.
    this.#file = openSync(join(dir, `${by}.jsonl`), 'ax');
  }

  /** `name` is held from now on. Returns the mark to close it with. */
  open(name: string, { token, at = now() }: { token?: number | undefined; at?: bigint } = {}): number {
    const mark = this.#next++;
    this.#write({ open: mark, name, at: String(at), ...(token === undefined ? {} : { token }) });
    return mark;
  }

  /** It was held until `at`, which may lie in the past: the moment a release was sent, or the last one of a lease. */
  close(mark: number, at: bigint = now()): void {
    this.#write({ close: mark, at: String(at) });
  }

  end(): void {
    closeSync(this.#file);
  }

  #write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}

/**
 * All intervals of a folder of logs. One that was never closed (its process was killed) ends with the last line of its
 * process: until then it certainly lived.
 */
export function readHistory(dir: string): Interval[] {
  return readdirSync(dir).flatMap((file) => readLog(join(dir, file), file.replace(/\.jsonl$/, '')));
}

function readLog(path: string, by: string): Interval[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  // What follows the last newline is nothing, or a line that its process died in.
  lines.pop();
  const intervals = new Map<number, Interval & { closed?: true }>();
  let last = 0n;
  for (const line of lines.map((text) => JSON.parse(text) as Line)) {
    const at = BigInt(line.at);
    if (at > last) last = at;
    if ('open' in line) {
      const token = line.token === undefined ? {} : { token: line.token };
      intervals.set(line.open, { name: line.name, from: at, to: at, by, ...token });
      continue;
    }
    const interval = intervals.get(line.close);
    if (!interval || interval.closed) throw new Error(`${path}: mark ${line.close} is closed but not open`);
    interval.to = at;
    interval.closed = true;
  }
  return [...intervals.values()].map(({ closed, ...interval }) => (closed ? interval : { ...interval, to: last }));
}

export interface Violation {
  kind: 'overlap' | 'token';
  name: string;
  first: Interval;
  second: Interval;
}

/**
 * Checks that the intervals of each name do not overlap (touching is fine) and that their tokens strictly increase in
 * the order of their starts. An interval is held against the latest end and the highest token before it, so every
 * offender is found in O(n log n).
 */
export function checkIntervals(intervals: readonly Interval[]): Violation[] {
  const violations: Violation[] = [];
  const byStart = [...intervals].sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
  const latestEnd = new Map<string, Interval>();
  const highestToken = new Map<string, Interval & { token: number }>();
  for (const second of byStart) {
    const { name, token } = second;
    const open = latestEnd.get(name);
    if (open && second.from < open.to) violations.push({ kind: 'overlap', name, first: open, second });
    if (!open || second.to > open.to) latestEnd.set(name, second);

    if (token === undefined) continue;
    const highest = highestToken.get(name);
    if (highest && token <= highest.token) violations.push({ kind: 'token', name, first: highest, second });
    else highestToken.set(name, { ...second, token });
  }
  return violations;
}
