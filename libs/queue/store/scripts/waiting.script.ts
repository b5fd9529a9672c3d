import { defineScript, lua } from '../../../redis/index.js';

/**
 * Tells which streams have entries that the group was not given yet.
 *
 * KEYS  the streams
 * ARGV  group
 * Reply per stream whether there are some; also true if the stream or the group is gone: a read tells
 *
 * Read-only: a crash, a repeat, a reorder change nothing. An answer that is out of date costs one read that brings nothing, or the
 * time until the next call.
 *
 * Slots: the streams of one group in one slot.
 */
export const waitingScript = defineScript({
  name: 'queue:waiting',
  keys: [],
  args: { group: 'text' },
  lua: lua`
local function waits(stream)
  if redis.call('EXISTS', stream) == 0 then return 1 end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if info.name == group then
      return #redis.call('XRANGE', stream, '(' .. info['last-delivered-id'], '+', 'COUNT', 1)
    end
  end
  return 1
end
local out = {}
for i, stream in ipairs(KEYS) do out[i] = waits(stream) end
return out`,
  decode: (reply) => (reply as number[]).map((count) => count > 0),
});
