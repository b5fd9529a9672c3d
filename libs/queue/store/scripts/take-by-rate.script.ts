import { defineScript } from '../../../redis/index.js';
import { MOVES } from './move-rights.js';
import { takeLua } from './take.fragment.js';
import { TAKE_ARGS, takenFrom } from './take.script.js';

/**
 * As `queue:take`, where the rate is one of each key: no more than limit tasks of a key start in any perMs. What its key has no room for
 * waits in line, pending with the consumer `~paced`, and is given when it is due.
 *
 * KEYS  those of `queue:take` without rate, rates, rateEnds, rateLine, rateDue (see {@link KEY_RATES}), and for an ordered queue gates, line
 * ARGV  those of `queue:take`; limit and perMs are those of each key, ratePath (where the payload has the key), and the rest as there
 * Reply {@link Taken}; dueMs: when somebody has to come for the next task that waits for its key
 *
 * An entry that is ordered by key, or needs a place of its key, gets that first, and keeps it while it waits for its rate.
 *
 * **Charging** is the same step as giving: a key's window has one unit more for each of its tasks in `claimed`. Why no perMs has more starts
 * than limit, however late a process is, is said there; the grace holds for all keys.
 *
 * Crash of the caller, lost reply: what was claimed pends with the caller and was charged; the line has no trace of it. What went into the
 * line pends with `~paced`, is in line and its key is due, in the same step: whoever comes at that time takes it. Nobody has to: each process
 * of the group has seen the instant in its last reply, or is told (`queue:released`), or is woken by the entry in the stream, and a renewal
 * tells one of them of what `~paced` has. Resend, two callers: the second finds the line without what the first took. Pause of the
 * caller: see rate. Late execution: what is given is too late to start, and is returned. Processes of other releases, and those without a rate,
 * take over what `~paced` has, for it holds no lease: so nothing waits for a rate that nobody has any more. The name of the
 * feature must stand in `uses`, and its instant be over, as for an order. Full server: see {@link KEY_RATES}.
 * Slots: the keys of one queue.
 */
export const takeByRateScript = defineScript({
  name: 'queue:take-by-rate',
  rights: MOVES,
  keys: [
    'stream',
    'other',
    'grace',
    'alive',
    'dead',
    'index',
    'deadIndex',
    'cancelled',
    'uses',
    'failedTo',
    'history',
    'rates',
    'rateEnds',
    'rateLine',
    'rateDue',
  ],
  args: { ...TAKE_ARGS, ratePath: 'text' },
  lua: takeLua(true, 15),
  decode: takenFrom,
});
