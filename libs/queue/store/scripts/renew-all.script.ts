import { defineScript, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX, PARKED } from '../queue.keys.js';
import { NOW } from './now.fragment.js';
import { RENEW } from './renew.fragment.js';
import type { Renewal } from './renew.script.js';
import { LEASE_USES, ORDER, PLACES } from './uses.fragment.js';

/** How many queues one call names at most: about half a millisecond of the server's time. All other clients wait for it. */
export const RENEW_MOST = 100;

/** Where no entry is, only each so many looks is a whole one. */
const IDLE_LOOKS = 4;

/** What a renewal tells about one queue. */
export interface QueueRenewal extends Renewal {
  /** Milliseconds until the first delayed task is due; undefined: there is none. */
  readonly dueMs: number | undefined;
  /** Milliseconds until the first schedule is due; undefined: there is none. */
  readonly scheduleDueMs: number | undefined;
  /** Some tasks that workers have were cancelled, or were until a moment ago. */
  readonly cancelled: boolean;
  /** Somebody listens to the events of the queue. */
  readonly observed: boolean;
  /** The lease of a process on this queue has ended. */
  readonly leaseEnded: boolean;
  /** Entries belong to a consumer without a lease, or were returned, or are idle for too long with other software. */
  readonly orphaned: boolean;
  /** Entries are pending with the caller. Only told when the call looks. */
  readonly pending: boolean;
  /** There may be entries to delete, retries of the group, other groups, or dead letters beyond those to keep. */
  readonly unclean: boolean;
}

export interface RenewedAll {
  /** In the order of the queues; an error if a key of that queue is of another type, or its group is gone. */
  readonly queues: readonly (QueueRenewal | Error)[];
  /** Milliseconds until the first lease of any process on these queues ends; undefined: none will. */
  readonly nextEndMs: number | undefined;
}

const [UNBROKEN, PAUSED, LEASE_ENDED, ORPHANED, PENDING, UNCLEAN, CANCELLED, OBSERVED] = [1, 2, 4, 8, 16, 32, 64, 128];

/**
 * Renews the leases of a process on many queues, and tells what there is to do on each of them. An idle process sends nothing else
 * about its queues but its blocking read.
 *
 * KEYS  per queue: alive, paused, delayed, uses, scheduleDue, cancelled, observed; with looks 1 also: retry, retryDelayed, stream, swept, dead
 * ARGV  consumer, leaseMs, looks (1 or 0), sweepMs; with looks 1, per queue: group, credit (1: the caller has room for tasks),
 *       foreignIdleMs (0: never), keep and keepMs (of dead letters; -1: all)
 * Reply {@link RenewedAll}
 *
 * A renewal is that of `queue:renew`, and as safe. The first lease of another process that has ended is seen at once: it is the
 * lowest one of `alive`. So the tasks of a dead process are taken over when its lease ends, whatever the interval of looking.
 * On a queue without delayed tasks, schedules, a pause and the like, a renewal is three commands: the first leases, its own, and
 * one that tells that none of these keys is there. A process with a thousand queues executes them a thousand times.
 *
 * With looks 1, the script also looks for what no lease shows: entries of a consumer without a lease (a process that was frozen in
 * its read), entries that were returned, entries of other software, and entries to delete. **One process of the fleet does so per
 * stream, group and sweepMs:** the first one that renews after the interval, if it has room for tasks. `swept` has the server's
 * time of the last look, by group. There is no election, so a process that dies needs no successor. A time in the future is that
 * of a clock that was set back, and counts as past. Where the stream has no entry, the group no retry, and no dead letter is ever deleted,
 * nobody has a task: then what is left over (consumers without tasks, pending ids whose entries were deleted) waits for each fourth look.
 *
 * The script only tells. What is to be done is done by scripts of their own, which check it again: two callers, a crash, a resend
 * or a late execution cost one of these calls at most. An error of one queue is told in its place and does not concern the others.
 * A queue with data that this release does not know is only renewed (of an ordered one, each process knows whether its handler is): `swept` is left to processes that know it.
 * Slots: the queues of one call are in one slot, if the server knows slots.
 */
export const renewAllScript = defineScript({
  name: 'queue:renew-all',
  keys: [],
  args: { consumer: 'text', leaseMs: 'number', looks: 'number', sweepMs: 'number' },
  lua: lua`
${NOW}
${RENEW}
${LEASE_USES}
local nextEndMs, nowText = -1, string.format('%.0f', now)

local function isOrphaned(consumers, stream, alive, group, foreignIdleMs)
  for _, row in ipairs(consumers) do
    local name, count = row[2], row[4]
    if string.sub(name, 1, ${CONSUMER_PREFIX.length}) ~= '${CONSUMER_PREFIX}' then
      local mayBeIdle = foreignIdleMs > 0 and count > 0
      if mayBeIdle and #redis.call('XPENDING', stream, group, 'IDLE', foreignIdleMs, '-', '+', 1, name) > 0 then return true end
    elseif name ~= consumer and name ~= '${PARKED}' then
      local endsMs = redis.call('ZSCORE', alive, name)
      if not endsMs or tonumber(endsMs) <= now then return true end
    end
  end
  return false
end

-- What XINFO GROUPS tells of a group, and whether there are others.
local function groupOf(stream, group)
  local rows, found = redis.call('XINFO', 'GROUPS', stream), nil
  for _, row in ipairs(rows) do
    local info = {}
    for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
    if info.name == group then found = info end
  end
  return found, #rows > 1
end

local function hasTooManyDead(dead, keep, keepMs)
  if keep >= 0 and redis.call('XLEN', dead) > keep then return true end
  local oldest = keepMs >= 0 and redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
  return oldest and tonumber(string.match(oldest[1], '^%d+')) < now - keepMs
end

local function look(k, a, hasRetries)
  local alive, stream, swept, dead = KEYS[k], KEYS[k + 9], KEYS[k + 10], KEYS[k + 11]
  local group, credit, foreignIdleMs = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
  local keep, keepMs = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  local last = tonumber(redis.call('HGET', swept, group))
  local sinceMs = last and last <= now and now - last or sweepMs * ${IDLE_LOOKS}
  local mayRest = sinceMs < sweepMs * ${IDLE_LOOKS} and not hasRetries and keep < 0 and keepMs < 0
  if mayRest and redis.call('XLEN', stream) == 0 then return 0 end
  if credit ~= '1' or sinceMs < sweepMs then
    return #redis.call('XPENDING', stream, group, '-', '+', 1, consumer) > 0 and ${PENDING} or 0
  end
  local told, info, hasOthers = 0, groupOf(stream, group)
  -- If nothing is pending, and there is one consumer, nobody has tasks. If there is no group, the command says so.
  if not info or info.pending > 0 or info.consumers > 1 then
    local consumers = redis.call('XINFO', 'CONSUMERS', stream, group)
    for _, row in ipairs(consumers) do
      if row[2] == consumer and row[4] > 0 then told = ${PENDING} end
    end
    if isOrphaned(consumers, stream, alive, group, foreignIdleMs) then told = told + ${ORPHANED} end
  end
  redis.call('HSET', swept, group, nowText)
  -- Each fourth time at least. It lasts for ten.
  if not last or math.floor(now / sweepMs / ${IDLE_LOOKS}) ~= math.floor(last / sweepMs / ${IDLE_LOOKS}) then
    redis.call('PEXPIRE', swept, string.format('%.0f', sweepMs * 10))
  end
  -- Entries that are neither pending nor waiting were settled, and not deleted. Without a lag, Redis does not know.
  if
    hasOthers or hasRetries
    or redis.call('XLEN', stream) > info.pending + (tonumber(info.lag) or -1)
    or hasTooManyDead(dead, keep, keepMs)
  then
    told = told + ${UNCLEAN}
  end
  return told
end

-- Milliseconds until the first member of a sorted set is due; -1: there is none.
local function msUntil(head)
  return head[2] and math.max(0, math.ceil(tonumber(head[2]) - now)) or -1
end

-- Whether one of these features is not known to this release.
local function isNew(named)
  for each in string.gmatch(named, '[^,]+') do
    if not string.find(each, '^${ORDER}@') and not string.find(each, '^${PLACES}@') then return true end
  end
  return false
end

local function visit(k, a)
  local paused, delayed, uses, scheduleDue = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4]
  local cancelled, observed = KEYS[k + 5], KEYS[k + 6]
  local unbroken, others = renew(KEYS[k])
  local told, dueMs, scheduleMs = unbroken * ${UNBROKEN}, -1, -1
  local hasRetries, named = false, nil
  -- Usually none of these keys is there, and one command tells so: paused to observed, and with looks the retries.
  if redis.call('EXISTS', unpack(KEYS, k + 1, k + (looks == 1 and 8 or 6))) > 0 then
    hasRetries = looks == 1 and redis.call('EXISTS', KEYS[k + 7], KEYS[k + 8]) > 0
    told = told + redis.call('EXISTS', paused) * ${PAUSED} + redis.call('EXISTS', cancelled) * ${CANCELLED}
      + redis.call('EXISTS', observed) * ${OBSERVED}
    -- A process of the newer release looks, and promotes.
    named = unknownUses(uses)
    if named and isNew(named) then return told, -1, named, -1 end
    dueMs = msUntil(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES'))
    -- If the key is something else, tasks go on. The process that publishes for schedules reports it.
    scheduleMs = msUntil(redis.pcall('ZRANGE', scheduleDue, 0, 0, 'WITHSCORES'))
  end
  if others then
    local endMs = math.ceil(others - now)
    if endMs <= 0 then
      told = told + ${LEASE_ENDED}
      -- Until it has been dealt with, the next ones are told by the next renewals.
    elseif nextEndMs < 0 or endMs < nextEndMs then nextEndMs = endMs end
  end
  if looks == 1 then told = told + look(k, a, hasRetries) end
  return told, dueMs, named or '', scheduleMs
end

local answers = {}
local step = looks == 1 and 12 or 7
local a = rest + 1
for k = 1, #KEYS, step do
  local fine, told, dueMs, unknown, scheduleMs = pcall(visit, k, a)
  if not fine then
    told = type(told) == 'table' and told.err or tostring(told)
    dueMs, unknown, scheduleMs = -1, '', -1
  end
  answers[#answers + 1] = told
  answers[#answers + 1] = dueMs
  answers[#answers + 1] = unknown
  answers[#answers + 1] = scheduleMs
  a = a + 5
end
return { now, nextEndMs, answers }`,
  decode: (reply): RenewedAll => {
    const [nowMs, nextEndMs, answers] = reply as [number, number, (number | string)[]];
    const queues: (QueueRenewal | Error)[] = [];
    for (let i = 0; i < answers.length; i += 4) {
      const [told, dueMs, unknown, scheduleMs] = answers.slice(i, i + 4) as [number | string, number, string, number];
      queues.push(typeof told === 'number' ? renewal(told, { dueMs, scheduleMs }, nowMs, unknown) : new Error(told));
    }
    return { queues, nextEndMs: nextEndMs < 0 ? undefined : nextEndMs };
  },
});

function renewal(
  told: number,
  { dueMs, scheduleMs }: { dueMs: number; scheduleMs: number },
  nowMs: number,
  unknown: string,
): QueueRenewal {
  const is = (what = 0): boolean => (told & what) !== 0;
  return {
    unbroken: is(UNBROKEN),
    paused: is(PAUSED),
    cancelled: is(CANCELLED),
    observed: is(OBSERVED),
    nowMs,
    unknown: unknown || undefined,
    dueMs: dueMs < 0 ? undefined : dueMs,
    scheduleDueMs: scheduleMs < 0 ? undefined : scheduleMs,
    leaseEnded: is(LEASE_ENDED),
    orphaned: is(ORPHANED),
    pending: is(PENDING),
    unclean: is(UNCLEAN),
  };
}
