import { defineFragment, lua } from '../../../redis/index.js';
import { FORGET } from './forget.fragment.js';
import { CARRIED } from './further-fields.fragment.js';
import { INDEX } from './index.fragment.js';
import { NOW } from './now.fragment.js';
import { ID_IN } from './task-id.fragment.js';

/**
 * `deadLetter(id, fields, letter)`: moves an entry from the group and the stream to the dead letters. The answer is the id of the
 * task: `letter.task`, or the id in `meta`, or the entry's.
 *
 * The order is acknowledge, delete, add, because a server may be full. It allows XACK, and then the rest of the script as
 * well. It would refuse a leading XADD, and dead tasks could never leave. Nothing after the first write can fail: before it,
 * the script checks `isOf(dead, 'stream')`, for the only key that might be of a wrong type.
 *
 * A dead letter carries the four fields of the entry, then its other fields, then why and when it died. Sluice's fields come
 * last, so that they win when a reader makes an object of all.
 */
export const DEAD_LETTER = defineFragment({
  name: 'dead-letter',
  needs: [NOW, FORGET, CARRIED, ID_IN, INDEX],
  locals: ['stream', 'group', 'dead', 'index', 'deadIndex'],
  lua: lua`
local function deadLetter(id, fields, letter)
  local kept = { payload = '', timestamp = '', retry_count = '0', meta = '' }
  local others = {}
  for i = 1, #fields, 2 do
    if kept[fields[i]] then kept[fields[i]] = fields[i + 1]
    else
      others[#others + 1] = fields[i]
      others[#others + 1] = fields[i + 1]
    end
  end
  local meta = letter.meta or kept.meta
  local original = letter.task or idIn(meta) or id
  local out = {
    'payload', kept.payload,
    'timestamp', kept.timestamp,
    'retry_count', letter.attempts or kept.retry_count,
    'meta', meta,
  }
  for _, other in ipairs(carried(others)) do out[#out + 1] = other end
  for _, own in ipairs({
    'original_id', original,
    'reason', letter.reason,
    'error', letter.failure,
    'stack', letter.stack,
    'attempts', letter.attempts or kept.retry_count,
    'deliveries', letter.deliveries,
    'group', group,
    'failed_at', string.format('%.0f', math.floor(now / 1000)),
  }) do out[#out + 1] = own end
  redis.call('XACK', stream, group, id)
  if forget(id) then unindex(index, original, id) end
  indexEntry(deadIndex, original, redis.call('XADD', dead, '*', unpack(out)))
  return original
end
`,
});
