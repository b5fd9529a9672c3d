import { defineScript, lua } from '../../../redis/index.js';
import type { Priority } from '../levels.js';
import { NOW } from './now.fragment.js';
import { GROUP } from './group.fragment.js';
import { IS_PARKED } from './parked.fragment.js';

export interface Counts {
  readonly waiting: number;
  readonly running: number;
  readonly delayed: number;
  readonly dead: number;
  readonly oldestWaitingMs: number | null;
  readonly paused: boolean;
  /** Of a queue with levels of priority: the counts of each level, each at an instant of its own. Absent otherwise. */
  readonly levels?: Readonly<Record<Priority, Counts>>;
}

/**
 * Counts a queue's tasks at one instant.
 *
 * KEYS  stream, delayed, dead, paused, and of the group's own: retryStream, retryDelayed
 * ARGV  group, released
 * Reply {@link Counts}
 *
 * With one group, each entry of the stream is either pending or waiting, because settled entries are deleted. So waiting is
 * XLEN less pending. (Redis' own `lag` is nil as soon as an entry was deleted behind an older one.) If the stream was trimmed
 * under pending entries, it is at least what is known to wait. With several groups, settled entries stay until all groups have
 * settled them. Then the entries after the last delivered one are waiting: their number is `lag`, or where that is nil, they are
 * counted, at most to 10 000. Entries that a stopping process returned are pending with `released`, and count as waiting, and so
 * do those that wait for their ordering key (`~parked`).
 * Read-only: a crash, a repeat or a reorder changes nothing.
 */
export const countsScript = defineScript({
  name: 'queue:counts',
  keys: ['stream', 'delayed', 'dead', 'paused', 'retryStream', 'retryDelayed'],
  args: { group: 'text', released: 'text' },
  lua: lua`
${NOW}
${IS_PARKED}
${GROUP}
local waiting, running, oldest = 0, 0, nil

local function seen(id)
  local ms = tonumber(string.match(id, '^%d+'))
  if not oldest or ms < oldest then oldest = ms end
end

local function add(info, groups)
  if not info then
    -- Nobody has come to read yet. With other groups there, this one will begin with what is there now.
    waiting = waiting + redis.call('XLEN', stream)
    for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)) do seen(entry[1]) end
    return
  end
  local handedBack = 0
  for _, pending in ipairs(redis.call('XPENDING', stream, info.name)[4] or {}) do
    if pending[1] == released or isParked(pending[1]) then
      handedBack = handedBack + tonumber(pending[2])
      seen(redis.call('XPENDING', stream, info.name, '-', '+', 1, pending[1])[1][1])
    end
  end
  local after = redis.call('XRANGE', stream, '(' .. info['last-delivered-id'], '+', 'COUNT', 1)
  if groups == 1 then waiting = waiting + math.max(#after, redis.call('XLEN', stream) - info.pending)
  elseif #after > 0 then
    local lag = tonumber(info.lag)
    waiting = waiting +
      (lag or #redis.call('XRANGE', stream, '(' .. info['last-delivered-id'], '+', 'COUNT', 10000))
  end
  waiting = waiting + handedBack
  running = running + info.pending - handedBack
  if #after > 0 then seen(after[1][1]) end
end

add(theGroup(group))
local delayedCount = redis.call('ZCARD', delayed)
if redis.call('EXISTS', retryStream) == 1 then
  stream = retryStream
  add(theGroup(group))
end
delayedCount = delayedCount + redis.call('ZCARD', retryDelayed)
return {
  waiting, running, delayedCount, redis.call('XLEN', dead), oldest and math.max(0, now - oldest) or false,
  redis.call('EXISTS', paused)
}`,
  decode: (reply): Counts => {
    const [waiting, running, delayed, dead, oldestWaitingMs, paused] = reply as number[] as [
      number,
      number,
      number,
      number,
      number | null,
      number,
    ];
    return { waiting, running, delayed, dead, oldestWaitingMs, paused: paused === 1 };
  },
});
