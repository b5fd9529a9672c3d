import { defineScript, lua } from '../../../redis/index.js';
import type { Entry } from '../stream-reply.js';
import { DEAD_LETTER } from './dead-letter.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';

export interface Reaped {
  /** Now pending with the caller, which must run them. */
  readonly claimed: Entry[];
  /** Task ids that were given up, because they were delivered too often. */
  readonly deadLetters: string[];
  /** There is more, which would have made the reply too large. */
  readonly more: boolean;
}

/** What one call takes over at most. Lua hands at most 8,000 ids to one call. */
export const REAP_MOST = 1_000;
/** How many bytes one call hands out, at most, and one entry. */
export const CLAIM_BYTES = 4 * 2 ** 20;

/**
 * Takes over the work of dead consumers, as much as the caller has room for.
 *
 * KEYS  stream, alive, dead, index, deadIndex
 * ARGV  group, consumer, leaseMs, sinceMs and endsMs (from when until when the caller's lease is known to be unbroken,
 *       on the server's clock), capacity, maxDeliveries, alone (whether the caller runs an isolated entry already: 1 or
 *       0), foreignIdleMs (0: never), released, prefix
 * Reply {@link Reaped}
 *
 * Dead is a consumer of ours (by its name's prefix) without a running lease. The list of consumers is asked, and not
 * that of leases alone: a process that is frozen inside a blocking read is handed entries even after its lease was
 * swept away, and they would be lost to everyone. A consumer of other software holds no lease: of it is taken, entry by
 * entry, what was delivered longer than foreignIdleMs ago, and the consumer itself is left as it is.
 *
 * Isolation: an entry on its third delivery (or its last, if that is earlier) has seen two processes die. It is not known
 * which of the entries that a process had killed it. So the caller gets one such entry at a time, and a process that dies with
 * it blames it alone among them. A task that kills every process spoils two deliveries of its neighbours at most: the
 * two before it is isolated. From then on a neighbour that was spoiled twice is never in hand together with it.
 *
 * Only a caller whose own lease has been unbroken for a whole lease may declare others dead: after an outage all
 * leases have ended, and each process has that long to come back and say that it lives. The proof is what the caller
 * was told, and not what stands in `alive` now: a script that waited out the outage in a socket's buffer would find a
 * lease there that was taken anew a moment ago. Yet what it was told must stand there as well: if it does not, Redis
 * was restored from an older copy or lost that key, and with it the leases of live processes. What a stopping process
 * returned belongs to the consumer `released`, which never lives: any process takes from it, without a proof.
 *
 * Crash of the caller: what it claimed is pending with it, and reaped in its turn. Resend: the entries already belong
 * to the caller, so a repeat does not return them (its audit finds them). Two callers at once: one after the other;
 * what the first took is not the dead one's any more. A dead consumer without pending entries is deleted in the same
 * step, for deleting one that has some would drop them. Leases that have ended are deleted as well: they say no more
 * than none, and that of a process which was killed before it got any task belongs to no consumer.
 */
export const reapScript = defineScript({
  name: 'queue:reap',
  keys: ['stream', 'alive', 'dead', 'index', 'deadIndex'],
  args: {
    group: 'text',
    consumer: 'text',
    leaseMs: 'number',
    sinceMs: 'number',
    endsMs: 'number',
    capacity: 'number',
    maxDeliveries: 'number',
    alone: 'number',
    foreignIdleMs: 'number',
    released: 'text',
    prefix: 'text',
  },
  lua: lua`
${NOW}
${IS_OF}
${DEAD_LETTER}
local function lives(name)
  local ends = redis.call('ZSCORE', alive, name)
  return ends and tonumber(ends) > now
end
local mine = tonumber(redis.call('ZSCORE', alive, consumer) or 0)
local mayJudge = now - sinceMs >= leaseMs and now < endsMs and mine >= endsMs
local room = math.min(capacity, ${REAP_MOST})
local bytes, more = 0, 0
local claimed, deadLetters = {}, {}

local function isDead(name)
  if name == released then return true end
  if not mayJudge or name == consumer or string.sub(name, 1, #prefix) ~= prefix then return false end
  return not lives(name)
end

local isolatedFrom = math.max(2, math.min(3, maxDeliveries))

local function takeFrom(name, rows)
  local ids, deliveries = {}, {}
  for _, pending in ipairs(rows) do
    local id, count = pending[1], pending[4]
    local isolated = count + 1 >= isolatedFrom
    local mayTake = #claimed + #ids < room and not (isolated and alone == 1)
    if mayTake and bytes >= ${CLAIM_BYTES} then mayTake, more = false, 1 end
    if count >= maxDeliveries or mayTake then
      local entry = redis.call('XRANGE', stream, id, id)[1]
      if not entry then redis.call('XACK', stream, group, id)
      elseif count < maxDeliveries then
        ids[#ids + 1] = id
        deliveries[id] = count + 1
        for _, field in ipairs(entry[2]) do bytes = bytes + #field end
        if isolated then alone = 1 end
      elseif isOf(dead, 'stream') then
        deadLetters[#deadLetters + 1] = deadLetter(id, entry[2], {
          reason = 'max-deliveries', stack = '', deliveries = tostring(count),
          failure = 'delivered ' .. count .. ' times and never settled: the process died with it each time',
        })
      end
    end
  end
  if #ids > 0 then
    for _, entry in ipairs(redis.call('XCLAIM', stream, group, consumer, '0', unpack(ids))) do
      claimed[#claimed + 1] = { entry[1], deliveries[entry[1]], entry[2] }
    end
  end
end

for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local name, count = info[2], info[4]
  -- What waits to be run alone may stand before what need not.
  local most = room + 1000
  if isDead(name) then
    takeFrom(name, redis.call('XPENDING', stream, group, '-', '+', most, name))
    if #redis.call('XPENDING', stream, group, '-', '+', 1, name) == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
    end
  elseif mayJudge and foreignIdleMs > 0 and count > 0 and string.sub(name, 1, #prefix) ~= prefix then
    takeFrom(name, redis.call('XPENDING', stream, group, 'IDLE', foreignIdleMs, '-', '+', most, name))
  end
end
redis.call('ZREMRANGEBYSCORE', alive, '-inf', now)
return { claimed, deadLetters, more }`,
  decode: (reply): Reaped => {
    const [claimed, deadLetters, more] = reply as [[string, number, string[]][], string[], number];
    return {
      claimed: claimed.map(([id, deliveries, fields]) => ({ id, deliveries, fields })),
      deadLetters,
      more: more === 1,
    };
  },
});
