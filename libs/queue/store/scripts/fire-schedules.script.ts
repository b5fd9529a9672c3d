import { defineScript, lua } from '../../../redis/index.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';
import { DEFINITION, PUBLISH_INSTANT, READ_SCHEDULE, WRITE_SCHEDULE } from './schedules.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/** How many bytes one call publishes at most, plus one task. A reader that waits for the stream gets all of them in one reply. */
const BODY_BYTES = 4 * 2 ** 20;

/** A schedule that is due, or will be. */
export interface DueSchedule {
  readonly id: string;
  readonly fingerprint: string;
  readonly nextMs: number;
  readonly dueMs: number;
  readonly behind: number;
  readonly spec: string;
}

export interface Fired {
  /** For each schedule of the call: how many tasks were published; -1: another process had been there, or it was too early. */
  readonly counts: readonly number[];
  /** The schedules that are due next, the first `limit`. */
  readonly heads: readonly DueSchedule[];
  readonly nowMs: number;
}

/**
 * Publishes the tasks of schedules that are due, and stores the next instant of each in the same step. Tells which ones are due
 * next.
 *
 * KEYS  stream, index, uses, schedules, states, due
 * ARGV  limit, then for each schedule: id, fingerprint, next (the stored instant that the caller knows), following (the instant
 *       after those that it publishes), followingDue, until, behind, how many instants, the instants
 * Reply {@link Fired}
 *
 * The caller computes instants, because the rules of time zones are not known here. It is believed in two things only: which
 * instants the spec has between `next` and `following`, and which of them are missed. The script accepts them only if the stored
 * schedule has the same spec and the same next instant, if that is due by the server's clock, and if `following` is later. So each
 * stored instant is passed once. Duplicate, resend, two callers at once: the second one finds another `next`, and changes nothing.
 * Crash: it is one script, so an instant is published and passed, or neither. Reorder, pause: a call that comes after
 * `until` is refused, because by then an instant that it would publish counts as missed. Full server: the first write is refused,
 * and the instant stays. Nothing after the first write can fail, because the types of the keys are checked before. Newer data:
 * nothing is changed.
 */
export const fireSchedulesScript = defineScript({
  name: 'queue:fire-schedules',
  keys: ['stream', 'index', 'uses', 'schedules', 'states', 'due'],
  args: { limit: 'number' },
  rights: ['XADD', 'ZADD', 'ZREM', 'HSET'],
  lua: lua`
${NOW}
${IS_OF}
${PUBLISH_INSTANT}
${DEFINITION}
${READ_SCHEDULE}
${WRITE_SCHEDULE}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
if not isOf(stream, 'stream') then return redis.error_reply('WRONGTYPE ' .. stream .. ' is not a stream') end
if not isOf(due, 'zset') then return redis.error_reply('WRONGTYPE ' .. due .. ' is not a sorted set') end

local bytes = 0
local function fire(id, fingerprint, next, at)
  local s = readSchedule(id)
  local following, followingDue = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local isDue = s and not s.paused and s.fingerprint == fingerprint and s.next == next and s.due <= now
  if not isDue or following <= next or now > tonumber(ARGV[at + 2]) or bytes >= ${BODY_BYTES} then return -1 end
  local _, payload = definitionOf(id)
  if not payload then return -1 end
  local count = tonumber(ARGV[at + 4])
  for i = 1, count do
    local instant = tonumber(ARGV[at + 4 + i])
    if bytes >= ${BODY_BYTES} then
      -- The rest is due at once.
      count, following, followingDue = i - 1, instant, instant
      break
    end
    publishInstant(id, instant, payload)
    s.last = math.max(s.last, instant)
    bytes = bytes + #payload + 1
  end
  s.next, s.due, s.behind = following, followingDue, tonumber(ARGV[at + 3])
  writeSchedule(id, s)
  return count
end

local counts, at = {}, rest + 1
while at <= #ARGV do
  counts[#counts + 1] = fire(ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), at + 3)
  at = at + 8 + tonumber(ARGV[at + 7])
end

local heads = {}
local ids = redis.call('ZRANGE', due, 0, limit - 1, 'WITHSCORES')
for i = 1, #ids, 2 do
  local id = ids[i]
  local s, spec = readSchedule(id), definitionOf(id)
  if not s or not spec or s.paused then redis.call('ZREM', due, id)
  else
    if s.due ~= tonumber(ids[i + 1]) then redis.call('ZADD', due, string.format('%.0f', s.due), id) end
    for _, value in ipairs({ id, s.fingerprint, s.next, s.due, s.behind, spec }) do heads[#heads + 1] = value end
  end
end
return { now, counts, heads }`,
  decode: (reply): Fired => {
    const [nowMs, counts, values] = reply as [number, number[], (string | number)[]];
    const heads: DueSchedule[] = [];
    for (let i = 0; i + 5 < values.length; i += 6) {
      const [id, fingerprint, nextMs, dueMs, behind, spec] = values.slice(i, i + 6);
      heads.push({
        ...{ id: String(id), fingerprint: String(fingerprint), spec: String(spec) },
        ...{ nextMs: Number(nextMs), dueMs: Number(dueMs), behind: Number(behind) },
      });
    }
    return { counts, heads, nowMs };
  },
});
