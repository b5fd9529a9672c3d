import { defineScript, lua } from '../../redis/index.js';

/**
 * Gives entries back that this process will not finish: anyone may take them at once, and no delivery is counted.
 *
 * KEYS stream · ARGV group, consumer, released, then the ids (none: all that is pending with the consumer) · returns
 * how many were given back.
 *
 * They keep their ids, and so their place: they go on as the oldest. An entry that is not (any more) this consumer's
 * is left alone: XCLAIM asks nobody, and would take it from whoever runs it now. Crash, resend: an entry given back
 * is no longer ours, a repeat skips it.
 */
export const handBackScript = defineScript({
  name: 'queue.hand-back',
  keys: ['stream'],
  args: { group: 'text', consumer: 'text', released: 'text' },
  lua: lua`
local returned = 0
local function giveBack(pending)
  redis.call('XCLAIM', stream, group, released, '0', pending[1],
    'RETRYCOUNT', tostring(math.max(0, pending[4] - 1)), 'JUSTID')
  returned = returned + 1
end

if ARGV[rest + 1] then
  for i = rest + 1, #ARGV do
    local pending = redis.call('XPENDING', stream, group, ARGV[i], ARGV[i], 1)[1]
    if pending and pending[2] == consumer then giveBack(pending) end
  end
else
  for _, pending in ipairs(redis.call('XPENDING', stream, group, '-', '+', 100000, consumer)) do giveBack(pending) end
end
return returned`,
  decode: (reply) => reply as number,
});
