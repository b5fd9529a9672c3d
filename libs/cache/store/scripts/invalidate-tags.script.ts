import { INBOX_MAX_BYTES, defineScript, lua } from '../../../redis/index.js';
import { RECENT_MAX } from './epoch.fragment.js';
import { INVALIDATION } from './invalidation.fragment.js';

/**
 * Ends the epochs of tags: every value that names one is gone, every load that began in one is void.
 *
 * KEYS   recent, sequence
 * ARGV   channel (of invalidations), tagPrefix, …tags
 * Reply  'OK'
 *
 * Every process gets the names of the tags. Names of more than 64 kB would fill the buffers that Redis holds for its subscribers.
 * Then every process drops all its copies instead.
 *
 * The work is that of the tags, whatever the number of values. Loads whose tags only the result names learn of the invalidation
 * from `recent`, which exists if there may be such a load. `recent` keeps the latest invalidated tags. The score of its guard
 * says how far it was trimmed.
 *
 * Repeated, the script ends further epochs, which costs loads. The script works while Redis is full, because it frees memory
 * before it writes.
 */
export const invalidateTagsScript = defineScript({
  name: 'cache:invalidate-tags',
  keys: ['recent', 'sequence'],
  args: { channel: 'text', tagPrefix: 'text' },
  lua: lua`
${INVALIDATION}
for i = rest + 1, #ARGV do redis.call('DEL', tagPrefix .. ARGV[i]) end
local guard = redis.call('ZRANGE', recent, 0, 0)[1]
if guard then
  local at = tonumber(redis.call('ZRANGE', recent, -1, -1, 'WITHSCORES')[2]) + 1
  for i = rest + 1, #ARGV do redis.call('ZADD', recent, at, ARGV[i]) end
  local over = redis.call('ZCARD', recent) - 1 - ${RECENT_MAX}
  if over > 0 then
    local upTo = redis.call('ZRANGE', recent, over, over, 'WITHSCORES')[2]
    redis.call('ZREMRANGEBYSCORE', recent, '-inf', upTo)
    redis.call('ZADD', recent, upTo, guard)
  end
end
local bytes = 0
for i = rest + 1, #ARGV do bytes = bytes + #ARGV[i] end
if bytes <= ${INBOX_MAX_BYTES} then
  announce(sequence, channel, 'tag', unpack(ARGV, rest + 1))
else
  announce(sequence, channel, 'all')
end
return 'OK'
`,
  decode: () => undefined,
});
