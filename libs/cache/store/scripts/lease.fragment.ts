import { FRAME, INBOX_MAX_BYTES, defineFragment, lua } from '../../../redis/index.js';

/**
 * The lease of a key: a hash that lives as long as the load, and expires if the loading process dies.
 *
 *   token      of the request that was granted the load; absent during the back-off after an error
 *   owner      inbox of the loading process
 *   w:<token>  inbox of a process that waits, under the token of its request
 *   error      the error of the last loader, as JSON; the key then lives as long as the back-off
 *
 * Inbox messages are of kind `cache:news`: verb, tokens (separated by spaces), payload. A message names the requests that it
 * answers, never the key. So a message that was overtaken by an invalidation and a new request answers no request.
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
-- Ends the lease and tells each process that waits: one message, whatever number of its requests wait. With \`voids\`, a load
-- still runs under the lease: its owner is told that nothing will be stored. The lease goes first, so that a Redis that refuses
-- writes has told nobody.
local function endLease(lease, verb, payload, voids)
  local fields = redis.call('HGETALL', lease)
  redis.call('DEL', lease)
  local tokens, held = {}, {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 'w:' then
      local inbox, token = fields[i + 1], string.sub(fields[i], 3)
      local others = tokens[inbox]
      if others then others[#others + 1] = token else tokens[inbox] = { token } end
    else
      held[fields[i]] = fields[i + 1]
    end
  end
  -- As frame('cache:news', verb, list, payload), but the parts that are the same for all are framed once.
  local head, tail = frame('cache:news', verb), frame(payload)
  for inbox, list in pairs(tokens) do
    local joined = table.concat(list, ' ')
    redis.pcall('PUBLISH', inbox, head .. #joined .. ':' .. joined .. tail)
  end
  if voids and held.token and held.owner then
    redis.pcall('PUBLISH', held.owner, frame('cache:news', 'void', held.token, ''))
  end
end

-- A value that is too large to push is announced, and each waiting request reads it.
local function endLeaseWithValue(lease, text, voids)
  local pushed = #text <= ${INBOX_MAX_BYTES}
  endLease(lease, pushed and 'value' or 'again', pushed and text or '', voids)
end
`,
});
