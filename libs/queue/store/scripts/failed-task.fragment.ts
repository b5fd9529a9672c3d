import { defineFragment, lua } from '../../../redis/index.js';
import { DEPTH_MAX } from '../../../weave/index.js';

/**
 * `publishFailed(target, queue, letter)`: adds the task about a dead letter (a `FailedTask`) to the stream `target`. `letter` has task,
 * payload, isJson (nil: the payload is decoded to find out), meta, seconds, reason, failure, attempts and group. If the dead letter is
 * itself such a task, the function returns false and adds nothing. So failures of failures end, whatever queues publish to each other.
 *
 * It is called after the first write, and cannot fail: the caller has checked that `target` is a stream or missing. The payload is
 * embedded as it is if it is JSON and the whole does not lie deeper than a payload may, else as a text.
 */
export const FAILED_TASK = defineFragment({
  name: 'failed-task',
  lua: lua`
local function isFailedTask(meta)
  if not string.find(meta, '"failureOf"', 1, true) then return false end
  local isJson, object = pcall(cjson.decode, meta)
  return isJson and type(object) == 'table' and type(object.failureOf) == 'string'
end

-- How deep brackets lie in each other, outside of strings.
local function depthOf(text)
  local depth, most, at = 0, 0, 1
  while true do
    local from = string.find(text, '["%[%]{}]', at)
    if not from then return most end
    local c = string.sub(text, from, from)
    at = from + 1
    if c == '[' or c == '{' then
      depth = depth + 1
      most = math.max(most, depth)
    elseif c ~= '"' then depth = depth - 1
    else
      while true do
        local stop = string.find(text, '["\\]', at)
        if not stop then return most end
        at = stop + 1
        if string.sub(text, stop, stop) == '"' then break end
        at = at + 1
      end
    end
  end
end

local function embedded(payload, isJson)
  if isJson == nil then isJson = pcall(cjson.decode, payload) end
  return isJson and depthOf(payload) < ${DEPTH_MAX} and payload or cjson.encode(payload)
end

local function publishFailed(target, queue, letter)
  if isFailedTask(letter.meta) then return false end
  local payload = '{"queue":' .. cjson.encode(queue) .. ',"id":' .. cjson.encode(letter.task)
    .. ',"payload":' .. embedded(letter.payload, letter.isJson) .. ',"reason":' .. cjson.encode(letter.reason)
    .. ',"error":' .. cjson.encode(letter.failure) .. ',"attempts":' .. (tonumber(letter.attempts) or 0)
    .. ',"group":' .. cjson.encode(letter.group) .. '}'
  redis.call('XADD', target, '*', 'payload', payload, 'timestamp', letter.seconds, 'retry_count', '0',
    'meta', '{"failureOf":' .. cjson.encode(queue) .. '}')
  return true
end
`,
});
