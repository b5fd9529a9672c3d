import { defineFragment, lua } from '../../../redis/index.js';
import { IS_OF } from './key-type.fragment.js';

/** Payloads and results up to this size, in bytes, are in the records of a history. */
export const RECORDED_MAX_BYTES = 8_192;

/**
 * The **history** of a queue: two streams, of the newest tasks that were completed and of the newest that failed for good, one entry for
 * each. `history` is the one of the script at hand. An entry is written in the step that settles the task, so there is one exactly if this
 * step was. XADD trims the stream in the same command to the number that the text names.
 *
 * `runIn(text)`: what a text says of a run, `<keep> <level> <attempts> <deliveries> <agoMs> <ranMs> <how> <worker>`, a line feed, then the
 * result or the error. nil for '': nothing is kept. `agoMs`: how long ago the run began, on the clock of its process; -1: it is unknown.
 * `refusedRecord(isKept)`: an error, if something is to be kept and `history` is of another type. A script asks before its first write.
 * `remember(id, task, fields, run)`: adds the entry. `fields` is those of the task's entry, nil if that is gone. It cannot fail,
 * except for a lack of memory, so it is called after another write.
 * `rememberEntry(id, task, text)`: the same for an entry that is still in `stream`, or was deleted by other software; nothing for ''.
 */
export const HISTORY = defineFragment({
  name: 'history',
  needs: [IS_OF],
  locals: ['stream', 'group', 'history'],
  lua: lua`
local function runIn(text)
  local run = {}
  run.keep, run.level, run.attempts, run.deliveries, run.agoMs, run.ranMs, run.how, run.worker, run.said =
    string.match(text, '^(%d+) (%S+) (%d+) (%d+) (-?%d+) (-?%d+) (%S+) ([^\n]*)\n(.*)$')
  return run.keep and run
end

local function refusedRecord(isKept)
  if isKept and not isOf(history, 'stream') then return redis.error_reply('WRONGTYPE ' .. history .. ' is no stream') end
end

local function remember(id, task, fields, run)
  local kept = { payload = false, timestamp = '', ordering_key = '' }
  for i = 1, fields and #fields or 0, 2 do
    if kept[fields[i]] ~= nil then kept[fields[i]] = fields[i + 1] end
  end
  local bytes = kept.payload and #kept.payload or -1
  if not string.find(kept.timestamp, '^%d+$') then
    kept.timestamp = string.format('%.0f', math.floor(tonumber(string.match(id, '^%d+')) / 1000))
  end
  redis.call('XADD', history, 'MAXLEN', '=', run.keep, '*', 'id', task,
    'payload', bytes > ${RECORDED_MAX_BYTES} and '' or kept.payload or '', 'payload_bytes', tostring(bytes), 'timestamp', kept.timestamp,
    'attempts', run.attempts, 'deliveries', run.deliveries, 'group', group, 'worker', run.worker,
    'ago_ms', run.agoMs, 'ran_ms', run.ranMs, 'ordering_key', kept.ordering_key, 'level', run.level, 'how', run.how, 'text', run.said)
end

local function rememberEntry(id, task, text)
  local run = runIn(text)
  if not run then return end
  local entry = redis.call('XRANGE', stream, id, id)[1]
  remember(id, task, entry and entry[2], run)
end
`,
});
