import type { Keyspace, Link } from '../../redis/index.js';
import { badOption, oneOf } from '../../weave/index.js';
import { bytesOf, PageSize } from '../admin/page-size.js';
import { historyKeys } from '../store/queue.keys.js';
import { finishedTask, type FinishedState, type FinishedTask } from './finished-task.js';

export interface HistoryPageOptions {
  /** Which tasks. Default `'completed'`. */
  state?: FinishedState;
  /** How many at most, 1 to 1 000. Default 100. */
  limit?: number;
  /** `next` of the page before. Default: from the newest one. */
  after?: string;
}

export interface HistoryPage<T = unknown> {
  /** Newest first. */
  readonly tasks: readonly FinishedTask<T>[];
  /** The value of `after` for the next page; undefined: this page was the last. */
  readonly next: string | undefined;
}

export interface CheckedPageOptions {
  readonly state: FinishedState;
  readonly limit: number;
  readonly after: string | undefined;
}

const STATES = ['completed', 'failed'] as const;
/** Records in one reply. */
const MOST = 500;

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkPageOptions({ state, limit = 100, after }: HistoryPageOptions = {}): CheckedPageOptions {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > 1_000) {
    throw badOption('history: limit', 'a whole number from 1 to 1000', limit);
  }
  return { state: oneOf(STATES, 'completed')(state, 'history: state'), limit, after };
}

/** Reads the records of one queue. Records that are written meanwhile come before those of the first page. */
export async function historyPage(
  { link, keyspace, queue }: { link: Link; keyspace: Keyspace; queue: string },
  { state, limit, after }: CheckedPageOptions,
): Promise<HistoryPage> {
  if (after !== undefined && !/^\d{1,20}-\d{1,20}$/.test(after)) {
    throw badOption('history: after', "the 'next' of a page", after);
  }
  const key = historyKeys(keyspace, queue)[state];
  const size = new PageSize(MOST);
  const tasks: FinishedTask[] = [];
  for (let from = after; ;) {
    const count = Math.min(size.count, limit - tasks.length);
    const range = [key, from === undefined ? '+' : `(${from}`, '-', 'COUNT', count];
    const rows = await link.send<[id: string, fields: string[]][]>('xrevrange', range);
    tasks.push(...rows.map(([id, fields]) => finishedTask(queue, state, id, fields)));
    from = rows.at(-1)?.[0] ?? from;
    if (rows.length < count) return { tasks, next: undefined };
    if (tasks.length >= limit) return { tasks, next: from };
    size.saw(
      rows.length,
      rows.reduce((sum, [, fields]) => sum + bytesOf(fields), 0),
    );
  }
}
