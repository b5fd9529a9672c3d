import { LIMIT, LIMIT_NOW, defineScript, lua } from '../../../redis/index.js';
import { decodeReply } from './consume.reply.js';

/** Opens each rule of `KEYS`, as `states`; the arguments after those of the rules begin at `next`. */
export const OPEN_RULES = `
local states, next = {}, rest + 1
for i = 1, #KEYS do
  local kind, n, span, x, y = ARGV[next], ARGV[next + 1], ARGV[next + 2], nil, nil
  next = next + 3
  if kind == 'b' or kind == 'p' or kind == 'c' then x, y, next = ARGV[next], ARGV[next + 1], next + 2 end
  if kind == 'c' and (now < tonumber(x) or now >= tonumber(y)) then return { -1, now } end
  states[i] = openLimit(KEYS[i], kind, n, span, x, y)
end
`;

/**
 * Decides about calls on one subject: each is charged to all of its limits, or to none.
 *
 * KEYS  one per limit, all of one subject
 * ARGV  nonce; per limit: kind, limit, span (µs), for `b`, `p` and `c` also x, y (see `LIMIT`); then per run of calls: cost, calls,
 *       wait (µs). No run: one call of one unit that does not wait
 * Reply {repeat, now, limits, per run: granted, due, retry, violated, units left of each limit; then the resets}. {-1, now}: the
 *       calendar window that the caller named is not the current one, and nothing was done
 *
 * - Runs are served in order, and the calls of a run too. A refused call is not charged.
 * - If nothing was granted, nothing is written, unless the state is from the future (see `LIMIT`).
 * - Duplicate, resend: the nonce is found in the state, and the units that were given are given again, without a charge.
 *   Turns of a leaky bucket have no trace: the second time, the calls get later turns.
 * - Crash or pause of the caller: what was charged stays charged.
 * - Reorder: calls are decided in the order in which they arrive.
 * - A server that is full refuses the first write, before anything is charged.
 */
export const consumeScript = defineScript({
  name: 'limit:consume',
  keys: [],
  args: { nonce: 'bytes' },
  lua: lua`
${LIMIT_NOW}
${LIMIT}
${OPEN_RULES}
local given
for i = 1, #states do given = given or traceOf(states[i], nonce) end
-- Room for the reply to one run about one limit, so that the table does not grow.
local reply, at = { given and 1 or 0, now, #states, 0, 0, 0, 0, 0, 0 }, 4
local charged, asked = 0, 0
repeat
  local cost, calls, wait = tonumber(ARGV[next] or 1), tonumber(ARGV[next + 1] or 1), tonumber(ARGV[next + 2] or 0)
  next = next + 3
  local granted, due, after, violated = calls, 0, 0, 0
  asked = asked + calls * cost
  if given then
    granted = math.min(calls, math.floor(given / cost))
    given = given - granted * cost
  else
    for i = 1, #states do
      local s = states[i]
      if s.wait then s.wait = wait end
      granted = math.min(granted, roomFor(s, calls, cost))
    end
    if granted > 0 then
      due = dueAfter(states[1], cost)
      for i = 1, #states do chargeLimit(states[i], granted * cost) end
      charged = charged + granted * cost
    end
  end
  if granted < calls then
    for i = 1, #states do
      if roomFor(states[i], 1, cost) == 0 then
        local wait = retryAfter(states[i], cost)
        violated = violated + 2 ^ (i - 1)
        after = (wait < 0 or after < 0) and -1 or math.max(after, wait)
      end
    end
  end
  reply[at], reply[at + 1], reply[at + 2], reply[at + 3] = granted, math.ceil(due), math.ceil(after), violated
  for i = 1, #states do reply[at + 3 + i] = unitsLeft(states[i]) end
  at = at + 4 + #states
until next > #ARGV
for i = 1, #states do
  local s = states[i]
  if charged > 0 and not s.wait then trace(s, nonce, charged, charged == asked) end
  if charged > 0 or s.stepped then saveLimit(s) end
  reply[at + i - 1] = math.ceil(resetAfter(s))
end
return reply
`,
  // Numbers only, which need no conversion.
  buffers: true,
  decode: decodeReply,
});
