import { defineFragment, lua } from '../../../redis/index.js';
import { ANSWER } from './answer.fragment.js';
import { FORGET } from './forget.fragment.js';
import { FAILED_TASK } from './failed-task.fragment.js';
import { CARRIED } from './further-fields.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { NOW } from './now.fragment.js';
import { ID_IN } from './task-id.fragment.js';

/**
 * `deadLetter(id, fields, letter)`: moves an entry from the group and the stream to the dead letters. It returns the id of the
 * task: `letter.task`, or the id in `meta`, or the entry's id.
 *
 * The order is acknowledge, delete, add, because a server may be full. A full server allows XACK, and then also the rest of the
 * script. It would refuse XADD as the first write, and dead tasks could never be moved. Nothing after the first write can fail:
 * before it, the script checks `isOf(dead, 'stream')`, because only this key might be of a wrong type.
 *
 * If somebody waits for the task's result, its process is told in the same step (`answer`).
 *
 * If `publishes` is not empty (the name of the queue), a task about it is added to the stream `failedTo`, in the same step. `letter.run` is
 * what is recorded of it in the history of the queue (`runIn`); nil: nothing.
 *
 * A dead letter has the four fields of the entry, then the entry's other fields, then the reason and the time. These fields of
 * Sluice come last. So they take precedence when a reader makes an object of all fields.
 */
export const DEAD_LETTER = defineFragment({
  name: 'dead-letter',
  needs: [NOW, FORGET, CARRIED, ID_IN, INDEX, FAILED_TASK, ANSWER, HISTORY],
  locals: ['stream', 'group', 'dead', 'index', 'deadIndex', 'failedTo', 'publishes'],
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
  local seconds = string.format('%.0f', math.floor(now / 1000))
  for _, own in ipairs({
    'original_id', original,
    'reason', letter.reason,
    'error', letter.failure,
    'stack', letter.stack,
    'attempts', letter.attempts or kept.retry_count,
    'deliveries', letter.deliveries,
    'group', group,
    'failed_at', seconds,
  }) do out[#out + 1] = own end
  redis.call('XACK', stream, group, id)
  if forget(id) then unindex(index, original, id) end
  indexEntry(deadIndex, original, redis.call('XADD', dead, '*', unpack(out)))
  answerFailure(meta, original, 'dead', letter.reason, letter.failure, letter.attempts or kept.retry_count)
  if publishes ~= '' then
    publishFailed(failedTo, publishes, {
      task = original, payload = kept.payload, isJson = letter.isJson, meta = meta, reason = letter.reason, failure = letter.failure,
      attempts = letter.attempts or kept.retry_count, group = group, seconds = seconds,
    })
  end
  if letter.run then
    letter.run.how, letter.run.said = letter.reason, letter.failure
    remember(id, original, fields, letter.run)
  end
  return original
end
`,
});
