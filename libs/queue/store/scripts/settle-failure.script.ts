import { defineScript, lua } from '../../../redis/index.js';
import { ANSWER } from './answer.fragment.js';
import { DEAD_LETTER } from './dead-letter.fragment.js';
import { DELAY } from './delay.fragment.js';
import { FORGET } from './forget.fragment.js';
import { GATES } from './gates.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { CARRIED } from './further-fields.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { MARKED } from './marked.fragment.js';
import { MOVES } from './move-rights.js';
import { TELL } from './tell.fragment.js';

/** Where a failed task went. `cancelled`: it was marked as cancelled, and is dropped. `fenced` and `stale`: the caller could not settle the task any more, and nothing was done. */
export type Settlement = 'retried' | 'delayed' | 'dead' | 'cancelled' | 'fenced' | 'stale';

export interface Settled {
  readonly as: Settlement;
  /** The task went to the group's own retries, because other groups read the queue as well. The caller may not read them yet. */
  readonly apart: boolean;
}

/**
 * Settles a run that failed. The task goes to the end of the queue for its next attempt, now or later, or to the dead letters.
 * While several groups read the queue, each has a stream of its own for retries, because the other groups must not run the task
 * again.
 *
 * KEYS  stream, retry, delayed, bodies, retryDelayed, retryBodies, dead, alive, index, retryIndex, deadIndex, cancelled,
 *       failedTo (where a task about a dead letter is published; any key of the queue if it is not), history (where it is recorded),
 *       and for a task with an ordering key
 *       other (the group's own retries for the queue, and the queue for the retries), gates, line
 * ARGV  group, consumer, id, deliveries, attempts (failed so far), meta (of the entry that follows), isDead (1: it
 *       becomes a dead letter; 0: it runs again), reason (of a dead letter), delayMs (0 = now), handle (the task's id),
 *       failure, stack, inboxes, publishes (the name of the queue: a dead letter publishes a task to failedTo; '': it does not), isJson (whether the payload is: 1 or 0), side (see `join.fragment.ts`), run (what is recorded of a dead letter, see `history.fragment.ts`; '': nothing),
 *       and for a task with an ordering key: the key, closes (1: a dead letter stops its key),
 *       keeps (1: the task keeps its key while it is tried again, 0: it takes a place again then), perKey (how many of a key may run)
 * Reply {@link Settled}
 *
 * Fence: the entry must still be pending, with this consumer, for this delivery. A worker that was presumed dead may fail long
 * after another worker took over its task. XACK alone would not notice this, because it does not check the owner of an entry, and
 * each such failure would add a copy of the task. After the fence, XACK always returns 1 in the same script.
 *
 * A dead letter, the task about it and its record are one step: there is exactly one of each for each time that a task becomes a dead letter.
 * A task that is marked as cancelled is dropped: it is neither tried again nor a dead letter.
 * If the task is a member of a join, a dead letter counts there as failed. One that is dropped, or whose entry was deleted, counts as
 * removed. Whoever waits for the result of a task that is dropped or a dead letter is told in the same step.
 *
 * A task with an ordering key keeps its gate ({@link GATES}) while it is tried again. A dead letter, and a task that is dropped or was
 * deleted, opens the next task of the key, in the same step.
 *
 * Crash: it is one script, so a task is never both pending and queued again, and never neither. Duplicate, resend: the second
 * call finds the entry gone and returns `stale`. Pause, reorder: a settlement that arrives late is `fenced`.
 */
export const settleFailureScript = defineScript({
  name: 'queue:settle-failure',
  rights: MOVES,
  keys: [
    'stream',
    'retry',
    'delayed',
    'bodies',
    'retryDelayed',
    'retryBodies',
    'dead',
    'alive',
    'index',
    'retryIndex',
    'deadIndex',
    'cancelled',
    'failedTo',
    'history',
  ],
  args: {
    group: 'text',
    consumer: 'text',
    id: 'text',
    deliveries: 'number',
    attempts: 'text',
    meta: 'text',
    isDead: 'number',
    reason: 'text',
    delayMs: 'number',
    handle: 'text',
    failure: 'bytes',
    stack: 'bytes',
    inboxes: 'text',
    publishes: 'text',
    isJson: 'number',
    side: 'text',
    run: 'text',
  },
  lua: lua`
${IS_OF}
${FORGET}
${CARRIED}
${ANSWER}
${HISTORY}
${DEAD_LETTER}
${TELL}
${DELAY}
${INDEX}
${JOIN}
${MARKED}
local other, gates, line, opensMost = KEYS[15], KEYS[16], KEYS[17], 0
local key, closes, keeps, keyPath = ARGV[rest + 1] or '', ARGV[rest + 2], ARGV[rest + 3], ''
local perKey, mayBeTaken = tonumber(ARGV[rest + 4] or 1), keeps ~= '1'
${GATES}
local function settled(isDeadLetter)
  local gate = gateKey(key)
  if isDeadLetter and closes == '1' then closeGate(gate, handle) else passOn(gate, handle) end
  for home in pairs(freed) do tell('queue:released', home) end
end
if key ~= '' and not gatesFine() then return redis.error_reply('WRONGTYPE ' .. gates .. ' or ' .. line .. ' is something else') end
local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
if not pending then return 'stale' end
if pending[2] ~= consumer or pending[4] ~= deliveries then return 'fenced' end

local member, refused = joined(joinIn(meta))
if refused then return refused end
local entry = redis.call('XRANGE', stream, id, id)[1]
if not entry then
  redis.call('XACK', stream, group, id)
  settleMember(member, 'removed')
  settled(false)
  closeJoins()
  return 'stale'
end

if isMarked(id) then
  redis.call('XACK', stream, group, id)
  if forget(id) then unindex(index, handle, id) end
  unmark(id)
  settleMember(member, 'removed')
  settled(false)
  closeJoins()
  answerFailure(meta, handle, 'cancelled', 'cancelled', failure, attempts)
  return 'cancelled'
end

if isDead == 1 then
  if not isOf(dead, 'stream') then return redis.error_reply('WRONGTYPE ' .. dead .. ' is no stream') end
  if publishes ~= '' and not isOf(failedTo, 'stream') then
    return redis.error_reply('WRONGTYPE ' .. failedTo .. ' is no stream')
  end
  refused = refusedRecord(run ~= '')
  if refused then return refused end
  deadLetter(id, entry[2], {
    task = handle, meta = meta, attempts = attempts, reason = reason, failure = failure, stack = stack,
    deliveries = tostring(deliveries), isJson = isJson == 1, run = runIn(run),
  })
  settleMember(member, 'failed')
  settled(true)
  closeJoins()
  return 'dead'
end

local kept = { payload = '', timestamp = '' }
local others = {}
for i = 1, #entry[2], 2 do
  local name, value = entry[2][i], entry[2][i + 1]
  if kept[name] then kept[name] = value
  elseif name ~= 'retry_count' and name ~= 'meta' then
    others[#others + 1] = name
    others[#others + 1] = value
  end
end
local home, homeIndex = stream, index
if #redis.call('XINFO', 'GROUPS', stream) > 1 then
  home, homeIndex, delayed, bodies = retry, retryIndex, retryDelayed, retryBodies
end
if not isOf(home, 'stream') then return redis.error_reply('WRONGTYPE ' .. home .. ' is no stream') end
if delayMs > 0 and not mayDelay() then
  return redis.error_reply('WRONGTYPE ' .. delayed .. ' or ' .. bodies .. ' is something else')
end
redis.call('XACK', stream, group, id)
if forget(id) then unindex(index, handle, id) end
if delayMs > 0 then
  delayTask(home, handle, id, delayMs, { kept.payload, kept.timestamp, attempts, meta, unpack(carried(others)) })
  keepJoin(member, delayMs)
  if keeps == '0' then settled(false) end
  return home == stream and 'delayed' or { 'delayed' }
end
indexEntry(homeIndex, handle, redis.call('XADD', home, '*', 'payload', kept.payload, 'timestamp', kept.timestamp,
  'retry_count', attempts, 'meta', meta, unpack(carried(others))))
if keeps == '0' then settled(false) end
return home == stream and 'retried' or { 'retried' }`,
  decode: (reply): Settled => {
    const [as, apart] = Array.isArray(reply) ? [(reply as Settlement[])[0], true] : [reply as Settlement, false];
    return { as: as as Settlement, apart };
  },
});
