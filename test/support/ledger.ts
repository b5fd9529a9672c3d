import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** One run of one task. */
export interface Run {
  id: string;
  attempt: number;
  deliveries: number;
  /** Who ran it. */
  by: string;
}

/**
 * The runs of all processes, in one file outside Redis. Each run is one write to a file opened for appending, so that
 * lines of several processes do not mix, and what was written survives SIGKILL.
 */
export class Ledger {
  readonly #file: number;
  readonly #by: string;

  constructor(path: string, by: string = String(process.pid)) {
    this.#file = openSync(path, 'a');
    this.#by = by;
  }

  /** Call it when the work of a run is done, as its effect. */
  write({ id, attempt, deliveries }: Omit<Run, 'by'>): void {
    writeSync(this.#file, `${id} ${attempt} ${deliveries} ${this.#by}\n`);
  }

  end(): void {
    closeSync(this.#file);
  }
}

export function readLedger(path: string): Run[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  // What follows the last newline is nothing, or a line that its process died in.
  lines.pop();
  return lines.map((line) => {
    const [id = '', attempt, deliveries, by = ''] = line.split(' ');
    return { id, attempt: Number(attempt), deliveries: Number(deliveries), by };
  });
}

export type Breach = { kind: 'lost' | 'unknown'; id: string } | { kind: 'repeated'; extra: number; allowed: number };

/**
 * At least once, and no more often than failures explain: every published id ran, nothing else did, and runs beyond
 * the first of each id are at most `allowed`.
 */
export function checkLedger(published: readonly string[], runs: readonly Run[], allowed: number): Breach[] {
  const expected = new Set(published);
  const ran = new Set(runs.map(({ id }) => id));
  const breaches: Breach[] = [
    ...[...expected].filter((id) => !ran.has(id)).map((id) => ({ kind: 'lost' as const, id })),
    ...[...ran].filter((id) => !expected.has(id)).map((id) => ({ kind: 'unknown' as const, id })),
  ];
  const extra = runs.length - ran.size;
  if (extra > allowed) breaches.push({ kind: 'repeated', extra, allowed });
  return breaches;
}
