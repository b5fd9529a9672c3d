import { defineScript, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX, type QueueKeys } from '../queue.keys.js';
import { NOW } from './now.fragment.js';
import { RENEW } from './renew.fragment.js';
import type { Renewal } from './renew.script.js';
import { LEASE_USES, ORDER, PACES, PLACES } from './uses.fragment.js';

/** How many queues one call names at most: about half a millisecond of the server's time. All other clients wait for it. */
export const RENEW_MOST = 100;

/** Where no entry is, only each so many looks is a whole one. */
export const IDLE_LOOKS = 4;

/** How a call looks: not at all, where entries are, or everywhere. */
export const [LOOK_NOWHERE, LOOK_AT_ENTRIES, LOOK_EVERYWHERE] = [0, 1, 2];

/** How many keys one command tests. Redis keeps the objects of so many arguments from one command of a script to the next. */
const KEYS_AT_ONCE = 30;

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
  /** The lease of a process on this queue has ended. Only told when the call watches. */
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
  /** Milliseconds until the first lease of any process on these queues ends; undefined: none will, or the call does not watch. */
  readonly nextEndMs: number | undefined;
}

/** How many keys of a queue {@link notedKeys} names, without the retries, and of the retries, and those that a look is about. */
const [NOTES, RETRIES, LOOKED_AT] = [5, 2, 3];

/** The keys of a queue that a renewal tests. */
export interface RenewedKeys {
  readonly keys: QueueKeys;
  readonly scheduleDueKey: string;
  /** The group's own retries. */
  readonly retries: Pick<QueueKeys, 'stream' | 'delayed'>;
}

/** What a call is for. */
export interface RenewalKind {
  readonly looks: number;
  /** False: none of the keys of {@link notedKeys} was there a moment ago. */
  readonly noted: boolean;
}

/**
 * The keys of these queues that are only there if there is something to tell: first those of all queues, then of their retries.
 * With a thousand queues, an idle process makes lists of ten thousand keys each second, so they are made without others in between.
 */
export function notedKeys(queues: readonly RenewedKeys[], looks: number, into: string[] = []): string[] {
  for (const { keys, scheduleDueKey } of queues) {
    into.push(keys.paused, keys.delayed, scheduleDueKey, keys.cancelled, keys.observed);
  }
  if (looks !== LOOK_NOWHERE) for (const { retries } of queues) into.push(retries.stream, retries.delayed);
  return into;
}

/** The keys of a renewal of these queues: first all leases, all `uses`, then {@link notedKeys}, then what looks are about. */
export function renewalKeys(queues: readonly RenewedKeys[], { looks, noted }: RenewalKind): string[] {
  const found: string[] = [];
  for (const { keys } of queues) found.push(keys.alive);
  for (const { keys } of queues) found.push(keys.uses);
  if (noted) notedKeys(queues, looks, found);
  if (looks !== LOOK_NOWHERE) for (const { keys } of queues) found.push(keys.stream, keys.swept, keys.dead);
  return found;
}

const [UNBROKEN, PAUSED, LEASE_ENDED, ORPHANED, PENDING, UNCLEAN, CANCELLED, OBSERVED] = [1, 2, 4, 8, 16, 32, 64, 128];

/**
 * Renews the leases of a process on many queues, and tells what there is to do on each of them. An idle process sends nothing else
 * about its queues but its blocking read.
 *
 * KEYS  see {@link renewalKeys}
 * ARGV  consumer, leaseMs, looks (0: not at all, 1: where entries are, 2: everywhere), sweepMs, notes (1; 0: the caller has asked for
 *       the keys of {@link notedKeys} just before, and none was there: they are no KEYS); if it looks, per queue: group, credit (1:
 *       the caller has room for tasks), foreignIdleMs (0: never), keep and keepMs (of dead letters; -1: all)
 * Reply {@link RenewedAll}. Of a queue whose lease is unbroken, and of which there is nothing to tell, nothing is sent
 *
 * A renewal is that of `queue:renew`, and as safe. The first lease of another process that has ended is seen at once: it is the
 * lowest one of `alive`. So the tasks of a dead process are taken over when its lease ends, whatever the interval of looking.
 * On a queue without delayed tasks, schedules, a pause and the like, a renewal is two commands (see {@link RENEW}), and one for each
 * six queues that tells that none of these keys is there. A process with a thousand queues executes them a thousand times: there, half of
 * the server's time was to hand these keys to Lua. So it asks for them with a plain EXISTS first, a hundred queues at a time. `uses` is
 * always a KEY: a renewal that is executed after a newer release has named its data tells of it (docs/internals/versions.md).
 *
 * If it looks, the script also looks for what no lease shows: entries of a consumer without a lease (a process that was frozen in
 * its read), entries that were returned, entries of other software, and entries to delete. **One process of the fleet does so per
 * stream, group and sweepMs:** the first one that renews after the interval, if it has room for tasks. `swept` has the server's
 * time of the last look, by group. There is no election, so a process that dies needs no successor. A time in the future is that
 * of a clock that was set back, and counts as past. Where the stream has no entry, the group no retry, and no dead letter is ever deleted,
 * nobody has a task: then what is left over (consumers without tasks, pending ids whose entries were deleted) waits for a call that looks
 * everywhere, as each process makes once in four looks, and for three sweeps without one by another process.
 *
 * The script only tells. What is to be done is done by scripts of their own, which check it again: two callers, a crash, a resend
 * or a late execution cost one of these calls at most. An error of one queue is told in its place and does not concern the others.
 * A queue with data that this release does not know is only renewed (of an ordered one, each process knows whether its handler is): `swept` is left to processes that know it.
 * Slots: the queues of one call are in one slot, if the server knows slots.
 */
export const renewAllScript = defineScript({
  name: 'queue:renew-all',
  keys: [],
  args: { consumer: 'text', leaseMs: 'number', looks: 'number', sweepMs: 'number', notes: 'number' },
  lua: lua`
${NOW}
${RENEW}
${LEASE_USES}
local before = 2 + notes * (looks > 0 and ${NOTES + RETRIES} or ${NOTES})
local queues = #KEYS / (before + (looks > 0 and ${LOOKED_AT} or 0))
local nextEndMs, nowText = -1, string.format('%.0f', now)

local function isOrphaned(consumers, stream, alive, group, foreignIdleMs)
  for _, row in ipairs(consumers) do
    local name, count = row[2], row[4]
    if string.sub(name, 1, ${CONSUMER_PREFIX.length}) ~= '${CONSUMER_PREFIX}' then
      local mayBeIdle = foreignIdleMs > 0 and count > 0
      if mayBeIdle and #redis.call('XPENDING', stream, group, 'IDLE', foreignIdleMs, '-', '+', 1, name) > 0 then return true end
    elseif name ~= consumer then
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

local function look(i, a, hasRetries)
  local at = queues * before + (i - 1) * ${LOOKED_AT}
  local alive, stream, swept, dead = KEYS[i], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  local group, credit, foreignIdleMs = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2])
  local keep, keepMs = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  local isEmpty = not hasRetries and keep < 0 and keepMs < 0 and redis.call('XLEN', stream) == 0
  if isEmpty and looks == ${LOOK_AT_ENTRIES} then return 0 end
  local last = tonumber(redis.call('HGET', swept, group))
  local sinceMs = last and last <= now and now - last or math.huge
  -- Another process has.
  if isEmpty and sinceMs < sweepMs * ${IDLE_LOOKS - 1} then return 0 end
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
    local name = string.match(each, '^[^@]*')
    if name ~= '${ORDER}' and name ~= '${PLACES}' and name ~= '${PACES}' then return true end
  end
  return false
end

-- The queues of which one of these keys is there. Each has count keys, behind at other keys. Usually none is there.
local function having(count, at)
  local most, found = math.floor(${KEYS_AT_ONCE} / count), {}
  for first = 1, queues, most do
    local last = math.min(queues, first + most - 1)
    if redis.call('EXISTS', unpack(KEYS, at + (first - 1) * count + 1, at + last * count)) > 0 then
      for i = first, last do
        found[i] = redis.call('EXISTS', unpack(KEYS, at + (i - 1) * count + 1, at + i * count)) > 0
      end
    end
  end
  return found
end

local using = having(1, queues)
local noted = notes == 1 and having(${NOTES}, queues * 2) or {}
local retried = notes == 1 and looks > 0 and having(${RETRIES}, queues * ${2 + NOTES}) or {}

local function visit(i, a)
  local unbroken, others = renew(KEYS[i])
  local told, dueMs, scheduleMs = unbroken * ${UNBROKEN}, -1, -1
  local named = using[i] and unknownUses(KEYS[queues + i])
  local isLeft = named and isNew(named)
  if noted[i] then
    local at = queues * 2 + (i - 1) * ${NOTES}
    local paused, delayed, scheduleDue, cancelled, observed = unpack(KEYS, at + 1, at + ${NOTES})
    told = told + redis.call('EXISTS', paused) * ${PAUSED} + redis.call('EXISTS', cancelled) * ${CANCELLED}
      + redis.call('EXISTS', observed) * ${OBSERVED}
    dueMs = msUntil(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES'))
    -- If the key is something else, tasks go on. The process that publishes for schedules reports it.
    scheduleMs = msUntil(redis.pcall('ZRANGE', scheduleDue, 0, 0, 'WITHSCORES'))
  end
  -- A process of the newer release looks, and promotes.
  if isLeft then return told, -1, named, -1 end
  if others then
    local endMs = math.ceil(others - now)
    if endMs <= 0 then
      told = told + ${LEASE_ENDED}
      -- Until it has been dealt with, the next ones are told by the next renewals.
    elseif nextEndMs < 0 or endMs < nextEndMs then nextEndMs = endMs end
  end
  if looks > 0 then told = told + look(i, a, retried[i]) end
  return told, dueMs, named or '', scheduleMs
end

local answers = {}
local a = rest + 1
for i = 1, queues do
  local fine, told, dueMs, unknown, scheduleMs = pcall(visit, i, a)
  if not fine then
    told = type(told) == 'table' and told.err or tostring(told)
    dueMs, unknown, scheduleMs = -1, '', -1
  end
  if told ~= ${UNBROKEN} or dueMs >= 0 or unknown ~= '' or scheduleMs >= 0 then
    for _, each in ipairs({ i, told, dueMs, unknown, scheduleMs }) do answers[#answers + 1] = each end
  end
  a = a + 5
end
return { now, nextEndMs, queues, answers }`,
  decode: (reply): RenewedAll => {
    const [nowMs, nextEndMs, count, answers] = reply as [number, number, number, (number | string)[]];
    const quiet = renewal(UNBROKEN, { dueMs: -1, scheduleMs: -1 }, nowMs, '');
    const queues = new Array<QueueRenewal | Error>(count).fill(quiet);
    for (let at = 0; at < answers.length; at += 5) {
      const [i, told, dueMs, unknown, scheduleMs] = answers.slice(at, at + 5) as Answer;
      queues[i - 1] = typeof told === 'number' ? renewal(told, { dueMs, scheduleMs }, nowMs, unknown) : new Error(told);
    }
    return { queues, nextEndMs: nextEndMs < 0 ? undefined : nextEndMs };
  },
});

type Answer = [queue: number, told: number | string, dueMs: number, unknown: string, scheduleMs: number];

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
