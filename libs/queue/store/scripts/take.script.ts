import { defineScript } from '../../../redis/index.js';
import { MOVES } from './move-rights.js';
import { reapedFrom, type Reaped } from './reap.script.js';
import { TAKE_OVER_ARGS } from './take-over.fragment.js';
import { takeLua } from './take.fragment.js';

/** What a worker with limits of the fleet was given: in `claimed`, the tasks that it may start. */
export interface Taken extends Reaped {
  /** How many of `claimed` were taken over. The others are new. */
  readonly takenOver: number;
  /** The last entry that the group was given. */
  readonly lastId: string;
  /** There are more tasks, which the limits or the caller had no room for. */
  readonly waits: boolean;
  /** Milliseconds until the rate has room again, if nobody takes it before; 0: it has room. */
  readonly afterMs: number;
  /** As many tasks run in the fleet as may. */
  readonly isFull: boolean;
  /** Milliseconds until a task may start that waits for the rate of its key; undefined: none waits for that. */
  readonly dueMs: number | undefined;
}

/** The arguments of the scripts that take. */
export const TAKE_ARGS = {
  ...TAKE_OVER_ARGS,
  limit: 'number',
  perMs: 'number',
  graceMs: 'number',
  usualMs: 'number',
  fleet: 'number',
  readMost: 'number',
} as const;

/**
 * Gives a worker as many tasks as the limits of the fleet and the worker itself have room for: those of dead consumers first, then new
 * ones. What it gives may start; what waits stays unread in the stream, holds no place and has used no attempt and no delivery.
 *
 * KEYS  stream, other (the group's own retries for the queue, and the queue for the retries), rate, grace, those of `queue:reap`, and for
 *       an ordered queue gates, line
 * ARGV  those of `queue:reap`; limit and perMs (at most so many starts in so many ms; limit 0: any number), graceMs (how late the
 *       caller may start what it is given), usualMs (what every caller's graceMs is at least), fleet (at most so many tasks at a time;
 *       0: any number), readMost (at most so many new entries are read at once); for an ordered queue closes (1: after
 *       a dead letter, its key stops), perKey (how many tasks of a key may run), keyPath (where the payload has the key; '': the entry has
 *       it), feature (the name in uses)
 * Reply {@link Taken}
 *
 * **fleet**: the tasks that run are those that are pending with consumers, in the queue and in the group's own retries. They are counted
 * anew each time, so there is no counter that could drift: whatever settles, returns or takes over a task moves its place in the same
 * step. A consumer that is dead, by the proof of `queue:reap`, holds no place, and returned tasks hold none. A caller without the
 * proof counts what pends with the dead, so after an outage no process takes places whose owners are about to renew their leases.
 *
 * **rate**: one unit of a sliding window (`LIMIT_US`) per task that is given, so a second delivery counts again. The window is longer than
 * perMs by the grace: whoever gets the reply starts the tasks within its graceMs after it *sent* the call, or returns them. So starts in
 * any perMs were given within perMs + grace of each other, however long a process was paused in between. The largest grace of any
 * caller holds for all of them while starts that it allowed may still come: `grace` keeps it for so long, unless it is the usual one.
 *
 * **order**: what may not run yet, because of its key, is parked ({@link GATES}). Reading and parking are one step, or two processes that
 * read one after the other could register their entries the other way round. Parked tasks hold no place, and the script reads on until
 * the room is used, or it has looked at a thousand entries. The name of the feature must stand in `uses`, and its instant be over: before,
 * processes that know no order may read as well.
 *
 * Crash of the caller, lost reply: the entries are pending with the caller and hold places. Its reconciliation, or the reaping of its
 * lease, deals with them; what the rate was charged lapses with its window. Resend: the same. Two callers: one after the other.
 * Late execution: entries pend with the caller, too late to start, and are returned. Pause of the caller: see rate.
 *
 * A full server refuses SET as the first write. Whenever units are charged, XCLAIM or XREADGROUP came before; a state that has to be
 * written although nothing was charged (the clock was set back) is deleted first.
 * Slots: the keys of one queue.
 */
export const takeScript = defineScript({
  name: 'queue:take',
  rights: MOVES,
  keys: [
    'stream',
    'other',
    'rate',
    'grace',
    'alive',
    'dead',
    'index',
    'deadIndex',
    'cancelled',
    'uses',
    'failedTo',
    'history',
  ],
  args: TAKE_ARGS,
  lua: takeLua(false, 12),
  decode: takenFrom,
});

/** Reads the reply of either script. */
export function takenFrom(reply: unknown): Taken {
  const [, , , , fresh, lastId, waits, afterMs, isFull, dueMs = -1, ofClaimed] = reply as [
    ...[unknown, unknown, unknown, unknown],
    ...[[string, string[]][], string, number, number, number, number?, number?],
  ];
  const reaped = reapedFrom(reply);
  const takenOver = ofClaimed ?? reaped.claimed.length;
  for (const [id, fields] of fresh) reaped.claimed.push({ id, deliveries: 1, fields });
  return {
    ...{ ...reaped, takenOver, lastId, waits: waits === 1, afterMs, isFull: isFull === 1 },
    dueMs: dueMs < 0 ? undefined : dueMs,
  };
}
