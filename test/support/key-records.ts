import type { UniqueOutcome } from 'nestjs-sluice/queue';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

export const KEY_MODES = ['skip', 'replace', 'follow-up', 'debounce', 'collect'] as const;
export type KeyMode = (typeof KEY_MODES)[number];

/** What a process wrote down: it calls, it has the answer, a run begins, a run has ended. The queue is called like the mode. */
export type KeyRecord =
  | { readonly what: 'call'; readonly mode: KeyMode; readonly item: string }
  | {
      readonly what: 'answer';
      readonly mode: KeyMode;
      readonly item: string;
      readonly id: string;
      readonly outcome: UniqueOutcome;
    }
  | {
      readonly what: 'begin' | 'end';
      readonly mode: KeyMode;
      readonly id: string;
      /** Which worker runs it. */
      readonly worker: string;
      /** The payload: one item, or those that were collected. */
      readonly items: readonly string[];
    };

/**
 * The records of all processes, in one file that is opened for appending. Each record is one write, so what is further down happened
 * later, whatever process wrote it, and what was written survives SIGKILL.
 */
export class KeyRecords {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  write(record: KeyRecord): void {
    writeSync(this.#file, `${JSON.stringify(record)}\n`);
  }

  end(): void {
    closeSync(this.#file);
  }
}

export function readKeyRecords(path: string): KeyRecord[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  // What follows the last newline is nothing, or a line that its process died in.
  lines.pop();
  return lines.map((line) => JSON.parse(line) as KeyRecord);
}

interface Publish {
  readonly called: number;
  answered: number;
  outcome?: UniqueOutcome;
}

interface TaskRuns {
  readonly begun: number;
  last: number;
  readonly items: Set<string>;
  /** The workers whose run has not ended, and whether another one has begun the task since: then the lease had lapsed. */
  readonly open: Map<string, { isLate: boolean }>;
}

/**
 * What is wrong with the records of one mode, for one key, when nothing is left to do.
 *
 * - Every item that was answered for was seen, as the mode promises: by a run that began after the call, with this item or one
 *   that may be later. For `skip`: by a task that was published.
 * - No item is in two tasks, however often its publish was repeated.
 * - `skip`, `follow-up`: no task begins before the one before it has ended. The end of a run counts unless another worker has begun the
 *   task meanwhile. A worker that was cut off for a whole lease is presumed dead, and its run may end when the task has long been settled.
 */
export function checkKeys(records: readonly KeyRecord[], mode: KeyMode): string[] {
  const publishes = new Map<string, Publish>();
  const tasks = new Map<string, TaskRuns>();
  const begins: { at: number; items: readonly string[] }[] = [];
  const wrong: string[] = [];
  for (const [at, record] of records.entries()) {
    if (record.mode !== mode) continue;
    if (record.what === 'call') publishes.set(record.item, { called: at, answered: Infinity });
    else if (record.what === 'answer')
      Object.assign(publishes.get(record.item)!, { answered: at, outcome: record.outcome });
    else {
      const runs = tasks.get(record.id) ?? { begun: at, last: at, items: new Set(), open: new Map() };
      tasks.set(record.id, runs);
      if (noteRun(runs, record)) runs.last = at;
      for (const item of record.items) runs.items.add(item);
      if (record.what === 'begin') begins.push({ at, items: record.items });
    }
  }
  const owners = new Map<string, string>();
  for (const [id, { items }] of tasks) {
    for (const item of items) {
      if (owners.has(item)) wrong.push(`${item} is in two tasks: ${owners.get(item)!} and ${id}`);
      owners.set(item, id);
      if (!publishes.has(item)) wrong.push(`${item} runs, and nobody published it`);
    }
  }
  for (const [item, { called, outcome }] of publishes) {
    if (outcome === undefined) continue;
    if (!isSeen(item, called, outcome)) wrong.push(`${item} was ${outcome}, and no run that began later saw it`);
  }
  if (mode === 'skip' || mode === 'follow-up') wrong.push(...overlaps([...tasks]));
  return wrong;

  function isSeen(item: string, called: number, outcome: UniqueOutcome): boolean {
    if (mode === 'skip') return outcome === 'skipped' || owners.has(item);
    if (mode === 'collect') return owners.has(item);
    // The items of the run are not all certainly earlier than this one.
    return begins.some(
      ({ at, items }) => at > called && items.some((each) => (publishes.get(each)?.answered ?? 0) > called),
    );
  }
}

/** Notes the begin or the end of a run. Returns whether it counts: the end of a run whose task another worker has begun does not. */
function noteRun({ open }: TaskRuns, { what, worker }: Extract<KeyRecord, { worker: string }>): boolean {
  const isLate = open.get(worker)?.isLate === true;
  open.delete(worker);
  if (what === 'end') return !isLate;
  for (const other of open.values()) other.isLate = true;
  open.set(worker, { isLate: false });
  return true;
}

/** Tasks of which one began before the one before it had ended. */
function overlaps(tasks: readonly (readonly [id: string, runs: TaskRuns])[]): string[] {
  return tasks.slice(1).flatMap(([id, { begun }], i) => {
    const before = tasks.slice(0, i + 1).filter(([, { last }]) => last > begun);
    return before.map(([other]) => `${id} begins before ${other} has ended`);
  });
}
