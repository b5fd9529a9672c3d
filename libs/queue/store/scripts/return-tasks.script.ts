import { defineScript, lua } from '../../../redis/index.js';
import { RETURN } from './return.fragment.js';

/**
 * Returns entries that this process will not finish: any process may take them at once, and no delivery is counted.
 *
 * KEYS  stream, alive
 * ARGV  group, consumer, released, inboxes, surplus, then the ids (none: all that is pending with the consumer)
 * Reply the ids that were returned
 *
 * With `surplus` 1, entries are returned only if nothing waits in the stream: if other processes have work anyway, returning
 * entries makes nothing faster. The processes with the latest leases get a message, and look at once.
 *
 * Entries keep their ids, and so their place: they are still the oldest. An entry that does not (any more) belong to this
 * consumer is skipped. Crash, resend: a returned entry no longer belongs to the consumer, so a repeat skips it.
 */
export const returnTasksScript = defineScript({
  name: 'queue:return-tasks',
  keys: ['stream', 'alive'],
  args: { group: 'text', consumer: 'text', released: 'text', inboxes: 'text', surplus: 'number' },
  lua: lua`
${RETURN}
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
if ARGV[rest + 1] then
  for i = rest + 1, #ARGV do
    local pending = pendingHere(ARGV[i])
    if pending then returnEntry(pending) end
  end
else
  for _, pending in ipairs(redis.call('XPENDING', stream, group, '-', '+', 100000, consumer)) do returnEntry(pending) end
end
tellReturned()
return returned`,
  decode: (reply) => reply as string[],
});
