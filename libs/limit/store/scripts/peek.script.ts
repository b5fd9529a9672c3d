import { LIMIT, LIMIT_NOW, defineScript, lua } from '../../../redis/index.js';
import { OPEN_RULES, PACKED } from './consume.script.js';

/**
 * Tells what calls on one subject would be answered now.
 *
 * KEYS  one per limit, all of one subject
 * ARGV  limits and runs as of `limit:consume`
 * Reply as of `limit:consume`, about one subject. Each run is answered as if the others were not there
 *
 * Read-only: a crash, a repeat, a reorder change nothing.
 */
export const peekScript = defineScript({
  name: 'limit:peek',
  keys: [],
  args: {},
  lua: lua`
${LIMIT_NOW}
${LIMIT}
${OPEN_RULES}
${PACKED}
local states = openRules(1, #KEYS)
if not states then return packed({ now, -1 }) end
local reply = { now, 0 }
repeat
  local cost, calls, wait = tonumber(ARGV[next] or 1), tonumber(ARGV[next + 1] or 1), tonumber(ARGV[next + 2] or 0)
  next = next + 3
  local granted, after, violated = calls, 0, 0
  for i = 1, #states do
    local s = states[i]
    if s.wait then s.wait = wait end
    granted = math.min(granted, roomFor(s, calls, cost))
    if roomFor(s, 1, cost) == 0 then
      local wait = retryAfter(s, cost)
      violated = violated + 2 ^ (i - 1)
      after = (wait < 0 or after < 0) and -1 or math.max(after, wait)
    end
  end
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = granted, math.ceil(dueAfter(states[1], cost)), math.ceil(after), violated
  for i = 1, #states do reply[at + 4 + i] = unitsLeft(states[i]) end
until next > #ARGV
for i = 1, #states do reply[#reply + 1] = math.ceil(resetAfter(states[i])) end
return packed(reply)
`,
  buffers: true,
  decode: (reply) => reply as Buffer,
});
