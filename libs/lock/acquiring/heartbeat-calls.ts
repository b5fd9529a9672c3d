import type { LockKeys } from '../store/lock.keys.js';
import type { Waiter } from './waiter.js';

/** One heartbeat names at most this many waiters and locks, because a long script would block the server. */
const WAITERS_PER_CALL = 256;
const LOCKS_PER_CALL = 128;

/** The waiters of this process on one lock. */
export interface LockWaiters {
  readonly keys: LockKeys;
  readonly waiters: Map<string, Waiter>;
  /** When Redis is asked before the next heartbeat, because the holder's lease should end then, or because a request failed. */
  askAtMs: number;
}

/** Some waiters on one lock, in one call. */
export interface HeartbeatPortion {
  readonly entry: LockWaiters;
  readonly waiters: Waiter[];
}

/** Splits the waiters into portions. Each yielded list of portions is sent as one call. */
export function* heartbeatCalls(entries: readonly LockWaiters[]): Generator<HeartbeatPortion[]> {
  let call: HeartbeatPortion[] = [];
  let room = WAITERS_PER_CALL;
  for (const entry of entries) {
    const all = [...entry.waiters.values()];
    for (let i = 0; i < all.length;) {
      const waiters = all.slice(i, i + room);
      call.push({ entry, waiters });
      i += waiters.length;
      room -= waiters.length;
      if (room > 0 && call.length < LOCKS_PER_CALL) continue;
      yield call;
      call = [];
      room = WAITERS_PER_CALL;
    }
  }
  if (call.length > 0) yield call;
}
