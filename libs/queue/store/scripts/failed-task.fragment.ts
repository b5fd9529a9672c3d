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

-- Whether a word outside of strings is one of JSON. 'cjson' also takes 'nan', '0x10' and '01'.
local function isJsonWord(word)
  if word == 'true' or word == 'false' or word == 'null' then return true end
  local digits, rest = string.match(word, '^-?(%d+)(.*)$')
  if not digits or #digits > 1 and string.sub(digits, 1, 1) == '0' then return false end
  rest = string.gsub(rest, '^%.%d+', '')
  return string.gsub(rest, '^[eE][-+]?%d+$', '') == ''
end

-- How deep brackets lie in each other, outside of strings. nil: 'cjson' takes the text for JSON, and JSON.parse does not.
local function depthOf(text)
  -- JSON has a backslash only in strings. Without what it escapes, each quote begins or ends a string.
  local bare, strict = string.gsub(text, '\\.', ''), true
  bare = string.gsub(bare, '"([^"]*)"', function(inside)
    if string.find(inside, '[%z\1-\31]') then strict = false end
    return 'null'
  end)
  for word in string.gmatch(bare, '[^ \t\r\n,:%[%]{}]+') do strict = strict and isJsonWord(word) end
  if not strict then return nil end
  local depth, most = 0, 0
  for bracket in string.gmatch(bare, '[%[%]{}]') do
    depth = depth + ((bracket == '[' or bracket == '{') and 1 or -1)
    most = math.max(most, depth)
  end
  return most
end

local function embedded(payload, isJson)
  if isJson == nil then isJson = pcall(cjson.decode, payload) end
  local depth = isJson and depthOf(payload)
  return depth and depth < ${DEPTH_MAX} and payload or cjson.encode(payload)
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
