import { FRAME, INBOX_MAX_BYTES, defineFragment, lua } from '../../../redis/index.js';

/**
 * The lease of a key: a hash that lives as long as the load, and expires if the loading process dies.
 *
 *   token      of the request that was granted the load; absent while an error backs off
 *   owner      inbox of the loading process
 *   w:<token>  inbox of a process that waits, under the token of its request
 *   error      what the last loader failed with, as JSON; the key then lives for the back-off
 *
 * Inbox messages are of kind `cache:news`: verb, tokens (separated by spaces), payload. A message names the requests that it
 * answers, never the key: one that was overtaken by an invalidation and a new request answers nobody.
 *
 * A message only saves time, so `NOPERM` for a user without rights on channels is no failure.
 *
 *   value  payload: the value's text            again  ask again
 *   error  payload: the error as JSON           void   to the owner: the lease is gone, nothing will be stored
 */
export const LEASE = defineFragment({
  name: 'lease',
  needs: [FRAME],
  lua: lua`
-- One message to each process that waits, whatever number of its requests wait.
local function tell(lease, verb, payload)
  local fields = redis.call('HGETALL', lease)
  local tokens = {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 'w:' then
      local inbox, token = fields[i + 1], string.sub(fields[i], 3)
      local others = tokens[inbox]
      if others then others[#others + 1] = token else tokens[inbox] = { token } end
    end
  end
  -- As frame('cache:news', verb, list, payload), but the parts that are the same for all are framed once.
  local head, tail = frame('cache:news', verb), frame(payload)
  for inbox, list in pairs(tokens) do
    local joined = table.concat(list, ' ')
    redis.pcall('PUBLISH', inbox, head .. #joined .. ':' .. joined .. tail)
  end
end

-- A value that is too large to push is announced, and each waiting request reads it.
local function tellValue(lease, text)
  if #text <= ${INBOX_MAX_BYTES} then tell(lease, 'value', text) else tell(lease, 'again', '') end
end

-- Ends a load that runs: its fill will find no lease.
local function void(lease)
  local held = redis.call('HMGET', lease, 'token', 'owner')
  if held[1] and held[2] then redis.pcall('PUBLISH', held[2], frame('cache:news', 'void', held[1], '')) end
  redis.call('DEL', lease)
end
`,
});
