import { parseProcessId } from '../../redis/index.js';
import type { LockInspection, LockWaiter } from '../lock.inspection.js';
import type { Inspected, InspectedWaiter } from '../store/scripts/inspect.script.js';

/** What `LockService.inspect` answers, from what its script found. */
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

function placeOf(process: string): { host: string; pid: number } {
  const { host, pid } = parseProcessId(process) ?? { host: process, pid: 0 };
  return { host, pid };
}

/** A place in the queue may lie a little ahead of the clock: places are kept apart by a microsecond. */
function ageOf(nowMs: number, sinceMs: number): number {
  return Math.max(0, Math.floor(nowMs - sinceMs));
}
