import { defineScript, lua } from '../../../redis/index.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';
import { DEFINITION, PUBLISH_INSTANT, READ_SCHEDULE, WRITE_SCHEDULE } from './schedules.fragment.js';
import { TELL } from './tell.fragment.js';

/** What stands in Redis after a declaration. `declared`: another spec, of a process that lives and started later. */
export type DeclaredState = 'same' | 'written' | 'unset' | 'declared';

export interface Declared {
  readonly state: DeclaredState;
  /** The last instant that was published; 0: none. */
  readonly lastMs: number;
  /** The next instant; 0: none is stored. */
  readonly nextMs: number;
}

export interface DeclaredAll {
  readonly nowMs: number;
  /** How many consumer groups the queue has. */
  readonly groups: number;
  /** In the order of the call. */
  readonly declared: readonly Declared[];
}

/** The start of a process is known to some milliseconds. Of processes that started together, the first declaration stands. */
const TOGETHER_MS = 1_000;

const STATES: readonly DeclaredState[] = ['unset', 'same', 'written', 'declared'];

/**
 * Stores schedules, unless the same ones are stored already.
 *
 * KEYS  stream, index, alive, schedules, states, due, then for each schedule: the key with the last instant of a removed one
 * ARGV  consumer (that declares them; `-`: a caller of the API), upMs (how long its process has been running), lateMs (an
 *       instant is late, not missed, for this time), inboxes, then for each: id, fingerprint, first (its first instant; 0: only
 *       look), firstDue, spec, payload
 * Reply {@link DeclaredAll}
 *
 * A schedule with the same spec and payload is left as it is. Its declaring process is replaced if that process is dead, so that
 * the schedule has an owner as long as any process declares it. Another spec replaces the stored one if the process that declared
 * the stored one is dead or started earlier, by the server's clock; a caller of the API replaces what no living process declares.
 * A schedule stays paused. `first` must be later than now and than the last published instant, whatever the spec: else the answer is
 * `unset`, with what the caller needs to compute it anew. An instant of the old spec that is due at this moment is published
 * before.
 *
 * Crash: it is one script. Resend, duplicate, N processes at once: the second one finds the same spec. Reorder: an old process that
 * calls late started earlier, and changes nothing. Full server: refused as a whole. The message only saves time: renewals of leases
 * tell when a schedule is due.
 */
export const declareSchedulesScript = defineScript({
  name: 'queue:declare-schedules',
  keys: ['stream', 'index', 'alive', 'schedules', 'states', 'due'],
  args: { consumer: 'text', upMs: 'number', lateMs: 'number', inboxes: 'text' },
  rights: ['HSET', 'ZADD', 'ZREM'],
  lua: lua`
${NOW}
${IS_OF}
${PUBLISH_INSTANT}
${DEFINITION}
${READ_SCHEDULE}
${WRITE_SCHEDULE}
${TELL}
for _, key in ipairs({ schedules, states }) do
  if not isOf(key, 'hash') then return redis.error_reply('WRONGTYPE ' .. key .. ' is not a hash') end
end
if not isOf(due, 'zset') then return redis.error_reply('WRONGTYPE ' .. due .. ' is not a sorted set') end
if not isOf(stream, 'stream') then return redis.error_reply('WRONGTYPE ' .. stream .. ' is not a stream') end
local started = now - upMs

local function lives(name)
  local ends = name ~= '-' and redis.call('ZSCORE', alive, name)
  return ends and tonumber(ends) > now
end

local function mayReplace(s)
  if consumer == '-' then return not lives(s.by) end
  return s.by == consumer or not lives(s.by) or s.started + ${TOGETHER_MS} < started
end

local soonest
local function declare(id, fingerprint, first, firstDue, spec, payload, removed)
  local s = readSchedule(id)
  local _, stored = definitionOf(id)
  if s and stored and s.fingerprint == fingerprint then
    if consumer ~= '-' and s.by ~= consumer and not lives(s.by) then
      s.by, s.started, s.orphaned = consumer, started, 0
      writeSchedule(id, s)
    elseif not s.paused and not redis.call('ZSCORE', due, id) then writeSchedule(id, s) end
    return 1, s.last, s.next
  end
  if s and not mayReplace(s) then return 3, s.last, s.next end
  local last = s and s.last or tonumber(redis.call('HGET', removed, 'last')) or 0
  if first <= now or first <= last then return 0, last, s and s.next or 0 end
  if s and stored and not s.paused and s.due <= now and now - s.due <= lateMs then
    publishInstant(id, s.next, stored)
    last = math.max(last, s.next)
  end
  redis.call('HSET', schedules, id, #spec .. ':' .. spec .. payload)
  writeSchedule(id, {
    fingerprint = fingerprint, next = first, due = firstDue, last = last, paused = s and s.paused or false,
    behind = 0, started = started, orphaned = 0, by = consumer,
  })
  soonest = math.min(soonest or firstDue, firstDue)
  return 2, last, first
end

local declared = {}
local k = 7
for a = rest + 1, #ARGV, 6 do
  local state, last, next = declare(ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), ARGV[a + 4], ARGV[a + 5], KEYS[k])
  declared[#declared + 1] = state
  declared[#declared + 1] = last
  declared[#declared + 1] = next
  k = k + 1
end
if soonest then tell('queue:schedule-due', stream, string.format('%.0f', math.max(0, soonest - now))) end
local groups = redis.call('EXISTS', stream) == 1 and #redis.call('XINFO', 'GROUPS', stream) or 0
return { now, groups, declared }`,
  decode: (reply): DeclaredAll => {
    const [nowMs, groups, values] = reply as [number, number, number[]];
    const declared: Declared[] = [];
    for (let i = 0; i + 2 < values.length; i += 3) {
      const [state = 0, lastMs = 0, nextMs = 0] = values.slice(i, i + 3);
      declared.push({ state: STATES[state] ?? 'unset', lastMs, nextMs });
    }
    return { nowMs, groups, declared };
  },
});
