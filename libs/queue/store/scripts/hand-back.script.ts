import { defineScript, lua } from '../../../redis/index.js';
import { TELL_LUA } from './fragments.js';

/**
 * Gives entries back that this process will not finish: anyone may take them at once, and no delivery is counted.
 *
 * KEYS stream, alive · ARGV group, consumer, released, inboxes, surplus, then the ids (none: all that is pending with the
 * consumer) · returns the ids that were given back.
 *
 * With `surplus` 1 only if nothing waits in the stream: where others have work as it is, giving back makes nobody faster.
 * Who was heard of last is told, and looks at once.
 *
 * They keep their ids, and so their place: they go on as the oldest. An entry that is not (any more) this consumer's
 * is left alone: XCLAIM asks nobody, and would take it from whoever runs it now. Crash, resend: an entry given back
 * is no longer ours, a repeat skips it.
 */
export const handBackScript = defineScript({
  name: 'queue:hand-back',
  keys: ['stream', 'alive'],
  args: { group: 'text', consumer: 'text', released: 'text', inboxes: 'text', surplus: 'number' },
  lua: lua`
${TELL_LUA}
local returned = {}
local function waits()
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local info = {}
    for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
    if info.name == group then
      return #redis.call('XRANGE', stream, '(' .. info['last-delivered-id'], '+', 'COUNT', 1) > 0
    end
  end
end
if surplus == 1 and waits() then return returned end

local function giveBack(pending)
  redis.call('XCLAIM', stream, group, released, '0', pending[1],
    'RETRYCOUNT', tostring(math.max(0, pending[4] - 1)), 'JUSTID')
  returned[#returned + 1] = pending[1]
end

if ARGV[rest + 1] then
  for i = rest + 1, #ARGV do
    local pending = redis.call('XPENDING', stream, group, ARGV[i], ARGV[i], 1)[1]
    if pending and pending[2] == consumer then giveBack(pending) end
  end
else
  for _, pending in ipairs(redis.call('XPENDING', stream, group, '-', '+', 100000, consumer)) do giveBack(pending) end
end
if #returned > 0 then tell('queue:released', stream) end
return returned`,
  decode: (reply) => reply as string[],
});
