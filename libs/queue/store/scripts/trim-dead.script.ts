import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';
import { INDEX } from './index.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/**
 * Deletes the oldest dead letters: all but the newest `keep`, and those that are older than `keepMs`.
 *
 * KEYS  dead, deadIndex, uses
 * ARGV  keep and keepMs (-1: any number, any age)
 * Reply how many were deleted
 *
 * Crash, repeat, two callers: a repeat deletes only letters that have become too old or too many meanwhile. A letter that is
 * brought back at the same time is either deleted before, or is no dead letter any more. Newer data: nothing is
 * deleted.
 */
export const trimDeadScript = defineScript({
  name: 'queue:trim-dead',
  keys: ['dead', 'deadIndex', 'uses'],
  args: { keep: 'number', keepMs: 'number' },
  lua: lua`
${NOW}
${INDEX}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local deleted = 0
if keepMs >= 0 then
  deleted = redis.call('XTRIM', dead, 'MINID', string.format('%.0f', math.max(0, now - keepMs)) .. '-0')
end
if keep >= 0 then deleted = deleted + redis.call('XTRIM', dead, 'MAXLEN', string.format('%.0f', keep)) end
if deleted > 0 then
  local first = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
  trimIndex(deadIndex, first and first[1])
end
return deleted`,
  decode: (reply) => reply as number,
});
