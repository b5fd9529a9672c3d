import { defineScript, lua } from '../../../redis/index.js';
import type { Entry } from '../stream-reply.js';
import { ANSWER } from './answer.fragment.js';
import { DEAD_LETTER } from './dead-letter.fragment.js';
import { FORGET } from './forget.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { MARKED } from './marked.fragment.js';
import { MOVES } from './move-rights.js';
import { NOW } from './now.fragment.js';
import { TAKE_OVER, TAKE_OVER_ARGS } from './take-over.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

export interface Reaped {
  /** Entries that are now pending with the caller, which must run them. */
  readonly claimed: Entry[];
  /** Ids of tasks that are dead letters now, because they were delivered too often. */
  readonly deadLetters: string[];
  /** Ids of tasks that were dropped, because they were cancelled. */
  readonly cancelled: string[];
  /** There are more entries, which would have made the reply too large. */
  readonly more: boolean;
}

/** How many entries one call takes over at most. Lua passes at most 8,000 ids to one call. */
export const REAP_MOST = 1_000;

/**
 * Takes over the work of dead consumers, as much as the caller has room for.
 *
 * KEYS  stream, alive, dead, index, deadIndex, cancelled, uses, failedTo and history (see `queue:settle-failure`)
 * ARGV  group, consumer, leaseMs, sinceMs and endsMs (from when until when the caller's lease is known to be unbroken,
 *       on the server's clock), capacity, maxDeliveries, alone (whether the caller runs an isolated entry already: 1 or
 *       0), foreignIdleMs (0: never), released, prefix, publishes, side (see `join.fragment.ts`), inboxes, keep (how many records of
 *       dead letters there are at most, with the new ones; 0: none is written), level (of priority; -: none)
 * Reply {@link Reaped}
 *
 * A consumer of Sluice (by the prefix of its name) is dead if it has no running lease. The script reads the list of consumers,
 * and not the leases alone: a process that is frozen inside a blocking read still gets entries after its lease was deleted, and
 * these entries would be lost. A consumer of other software holds no lease. The script takes over each of its entries that was
 * delivered longer than foreignIdleMs ago, and leaves the consumer itself as it is.
 *
 * A task that is marked as cancelled is dropped, and not run again. If it is a member of a join, it counts there as removed, and a
 * dead letter counts as failed. Whoever waits for the
 * result of a task that is dropped or a dead letter is told in the same step.
 *
 * Isolation: two processes have died while they had an entry that is now on its third delivery (or its last, if that is earlier).
 * It is not known which of the entries of a process killed it. So the caller gets one such entry at a time. If the caller dies,
 * only this one of them is blamed. A task that kills every process costs its neighbours two deliveries at most: the two before it
 * is isolated. From then on, no process has this task together with a neighbour that has lost two deliveries.
 *
 * Only a caller whose own lease has been unbroken for a whole lease may declare others dead: after an outage all leases have
 * ended, and each process has that time to renew its lease. The proof is what the caller's renewals have told it, and not the
 * caller's lease in `alive` now: if a script waited in a socket's buffer during the outage, it would find a lease there that was
 * taken again a moment ago. But the lease that the caller was told must be in `alive` as well. If it is not, Redis was restored
 * from an older copy or lost that key, and with it the leases of live processes. Entries that a stopping process returned belong
 * to the consumer `released`, which never lives: any process takes them over, without a proof.
 *
 * Crash of the caller: the entries that it claimed are pending with it, and are reaped in turn. Resend: the entries already
 * belong to the caller, so a repeat does not return them (the caller's reconciliation finds them). Two callers at once: the
 * scripts run one after the other, and the entries that the first took no longer belong to the dead consumer. A dead consumer is
 * deleted in the same step if it has no pending entries; with pending entries it stays, because deleting it would drop them.
 * Leases that have ended are deleted as well. They mean the same as no lease, and the lease of a process that was killed before
 * it got any task belongs to no consumer. Only a caller that may declare others dead deletes them: a lease that has ended shows the
 * renewals of all processes that there may be tasks to take over. Newer data: nothing is taken over.
 */
export const reapScript = defineScript({
  name: 'queue:reap',
  rights: MOVES,
  keys: ['stream', 'alive', 'dead', 'index', 'deadIndex', 'cancelled', 'uses', 'failedTo', 'history'],
  args: TAKE_OVER_ARGS,
  lua: lua`
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
${NOW}
${IS_OF}
${FORGET}
${ID_IN}
${INDEX}
${ANSWER}
${HISTORY}
${DEAD_LETTER}
${JOIN}
${MARKED}
-- Ordered queues are taken from by queue:take.
local admits, passesOn, paced
${TAKE_OVER}
takeOver(math.min(capacity, ${REAP_MOST}))
if mayJudge then redis.call('ZREMRANGEBYSCORE', alive, '-inf', now) end
return { claimed, deadLetters, more, dropped }`,
  decode: reapedFrom,
});

/** Reads the first parts of a reply. */
export function reapedFrom(reply: unknown): Reaped {
  const [claimed, deadLetters, more, cancelled] = reply as [[string, number, string[]][], string[], number, string[]];
  return {
    claimed: claimed.map(([id, deliveries, fields]) => ({ id, deliveries, fields })),
    deadLetters,
    cancelled,
    more: more === 1,
  };
}
