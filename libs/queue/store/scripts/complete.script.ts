import { defineScript, lua } from '../../../redis/index.js';
import { ANSWER } from './answer.fragment.js';
import { FORGET } from './forget.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';

/** The kind of an outcome that is not sent yet. */
export const WITHHELD = 'withheld';

/** What became of the task. `stale`: it was not pending any more. `awaited`: it is pending, and the outcome is wanted. */
export type Completed = 'done' | 'stale' | 'awaited';

/**
 * Acknowledges and deletes a finished task for which publishers wait, or may wait, and sends the result in the same step.
 *
 * KEYS  stream, index, result (where the result is kept), waiters (of the task's key), history (where the task is recorded)
 * ARGV  group, id (of the entry), task (its id), meta (of the entry, or what it says of the waiter), side (what the names of the queue's
 *       side keys begin with), inboxes, kind (`returned`, `failed`, `unsendable` or `withheld`), text (the
 *       result as JSON, or why there is none), run (what is recorded, see `history.fragment.ts`; '': nothing)
 * Reply {@link Completed}
 *
 * A large result is withheld at first if it is not known that somebody waits: whoever joined the task by its key is looked for here.
 * If there is one, nothing is done, and the caller sends the result.
 *
 * As in `queue:ack`, a success is not fenced. Only the run whose acknowledgement finds the entry pending sends its result: so there is one
 * result per task, also if a process that was presumed dead ends its run late.
 *
 * Crash: it is one script, so the task is either still pending, and another process runs it and sends its result, or it is done, and the
 * result is kept and recorded. Resend, repeat: finds nothing pending, and sends nothing; the first call has. Pause, reorder: ids are never used again.
 * Full server: XACK is allowed, and then also the rest. A kept result expires with the wait, whether anybody reads it or not.
 * Slots: the keys of one queue.
 */
export const completeScript = defineScript({
  name: 'queue:complete',
  keys: ['stream', 'index', 'result', 'waiters', 'history'],
  args: {
    group: 'text',
    id: 'text',
    task: 'text',
    meta: 'text',
    side: 'text',
    inboxes: 'text',
    kind: 'text',
    text: 'text',
    run: 'text',
  },
  rights: ['XACK', 'XDEL', 'XADD', 'XRANGE'],
  lua: lua`
${FORGET}
${INDEX}
${ANSWER}
${HISTORY}
if kind == '${WITHHELD}' then
  local isAwaited = false
  eachWaiter(meta, task, function() isAwaited = true end)
  if isAwaited then return -1 end
end
local refused = refusedRecord(run ~= '')
if refused then return refused end
if redis.call('XACK', stream, group, id) == 0 then return 0 end
rememberEntry(id, task, run)
if forget(id) then unindex(index, task, id) end
answer(meta, task, kind, text)
return 1`,
  decode: (reply): Completed => (reply === -1 ? 'awaited' : reply === 1 ? 'done' : 'stale'),
});
