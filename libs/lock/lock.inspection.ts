import type { Inspected, InspectedWaiter } from './scripts/inspect.script.js';

/** Who holds a lock, and who waits for it, as it stood in Redis at one moment. */
export interface LockInspection {
  /** The value of the lock's key. */
  readonly owner: string;
  /** `'ours'`: held through a `LockService`. `'foreign'`: by a client of the plain recipe, of which no more is known. */
  readonly kind: 'ours' | 'foreign';
  /** Where the holder runs. */
  readonly host?: string;
  readonly pid?: number;
  /** When it was granted, on the Redis server's clock. */
  readonly since?: Date;
  /** How long ago that was, in milliseconds. */
  readonly ageMs?: number;
  /** What is left of its lease, in milliseconds; Infinity for a foreign lock that never expires. */
  readonly ttlMs: number;
  readonly fencingToken?: number;
  /** How many wait; `waiters` are the first 100 of them, in the order in which they will be served. */
  readonly waiting: number;
  readonly waiters: readonly LockWaiter[];
}

/** One acquisition in the queue of a lock. */
export interface LockWaiter {
  /** What the lock's key will hold when it is granted. */
  readonly owner: string;
  /** Where it runs. */
  readonly host: string;
  readonly pid: number;
  /** Since when it waits, on the Redis server's clock, and how long that is. */
  readonly since: Date;
  readonly ageMs: number;
  /** How long ago its process was last heard of; past 3 000 it is passed over. */
  readonly silentMs: number;
}

export function inspectionOf({ holder, ttlMs, nowMs, waiting, waiters }: Inspected): LockInspection {
  const { owner, process, since, fencingToken } = holder;
  const known = process !== undefined &&
    since !== undefined && { ...placeOf(process), since, ageMs: ageOf(nowMs, since.getTime()) };
  return {
    owner,
    kind: known ? 'ours' : 'foreign',
    ...known,
    ttlMs: ttlMs === -1 ? Infinity : Math.max(0, ttlMs),
    ...(fencingToken !== undefined && { fencingToken }),
    waiting,
    waiters: waiters.map((waiter) => waiterOf(waiter, nowMs)),
  };
}

function waiterOf({ owner, process, sinceMs, seenMs }: InspectedWaiter, nowMs: number): LockWaiter {
  const since = new Date(sinceMs);
  return { owner, ...placeOf(process), since, ageMs: ageOf(nowMs, sinceMs), silentMs: ageOf(nowMs, seenMs) };
}

/** Of `host:pid:nonce`, which names a start of a process. */
function placeOf(process: string): { host: string; pid: number } {
  const [, host = process, pid] = /^(.*):(\d+):[^:]*$/s.exec(process) ?? [];
  return { host, pid: Number(pid) };
}

/** A place in the queue may lie a little ahead of the clock: places are kept apart by a microsecond. */
function ageOf(nowMs: number, sinceMs: number): number {
  return Math.max(0, Math.floor(nowMs - sinceMs));
}
