import { LIMIT, LIMIT_NOW, USUAL, defineScript, lua } from '../../../redis/index.js';

/**
 * `openRules(first, last)` opens the limits of these `KEYS`, which are of one subject; undefined if the calendar window that the caller
 * named is not the current one. The arguments after those of the rules then begin at `next`.
 */
export const OPEN_RULES = `
local next
local function openRules(first, last)
  local states = {}
  next = rest + 1
  for i = first, last do
    local kind, n, span, x, y = ARGV[next], ARGV[next + 1], ARGV[next + 2], nil, nil
    next = next + 3
    if kind == 'b' or kind == 'p' or kind == 'c' then x, y, next = ARGV[next], ARGV[next + 1], next + 2 end
    if kind == 'c' and (now < tonumber(x) or now >= tonumber(y)) then return nil end
    states[i - first + 1] = openLimit(KEYS[i], kind, n, span, x, y)
  end
  return states
end
`;

/** `packed(numbers)`: as one string of doubles. A list of so many integers would take both sides longer. */
export const PACKED = `
local function packed(numbers)
  local size, parts = #numbers, {}
  if size < 65 then return struct.pack('<' .. string.rep('d', size), unpack(numbers)) end
  for i = 1, size, 64 do
    local last = math.min(i + 63, size)
    parts[#parts + 1] = struct.pack('<' .. string.rep('d', last - i + 1), unpack(numbers, i, last))
  end
  return table.concat(parts)
end
`;

/**
 * Decides about calls: each is charged to all limits of its subject, or to none.
 *
 * KEYS  one per limit, all of one subject. Or the same for each of several subjects that are asked the same. No key occurs twice
 * ARGV  nonce, subjects (their number); per limit: kind, limit, span (µs), for `b`, `p` and `c` also x, y (see `LIMIT`); then per run
 *       of calls: cost, calls, wait (µs). No run: one call of one unit that does not wait
 * Reply one string of doubles: now; then per subject: repeat (0 or 1), per run: granted, due, retry, violated, units left of each limit;
 *       then the resets. Or {2, units left of each limit, the resets}: all calls were granted, at once. Or {-1}: the calendar window
 *       that the caller named is not the current one, and nothing was done. Or {-2}: a key could not be read, and nothing was done.
 *       If it is the only subject, the script fails with the error
 *
 * - Runs are served in order, and the calls of a run too. A refused call is not charged.
 * - If nothing was granted, nothing is written, unless the state is from the future (see `LIMIT`).
 * - Calls on one limit that is in its usual state, all of which fit, take the short way of `USUAL`.
 * - Duplicate, resend: the nonce is found in the state, and the units that were given are given again, without a charge.
 *   Turns of a leaky bucket have no trace: the second time, the calls get later turns.
 * - Crash or pause of the caller: what was charged stays charged.
 * - Reorder: calls are decided in the order in which they arrive.
 * - A server that is full refuses the first write, before anything is charged to any subject.
 * - Slots: the keys of one subject share one. Several subjects are asked at once only where the server knows no slots.
 */
export const consumeScript = defineScript({
  name: 'limit:consume',
  keys: [],
  args: { nonce: 'bytes', subjects: 'number' },
  lua: lua`
${LIMIT_NOW}
${USUAL}
local limits, replies, undecided = #KEYS / subjects, {}, subjects
if limits == 1 and ARGV[rest + 1] ~= 'b' and ARGV[rest + 1] ~= 'p' then
  local kind, n, span, run = ARGV[rest + 1], tonumber(ARGV[rest + 2]), tonumber(ARGV[rest + 3]), rest + 4
  local begins, ends = now, nil
  if kind == 'c' then begins, ends, run = tonumber(ARGV[run]), tonumber(ARGV[run + 1]), run + 2 end
  if #ARGV < run + 3 and begins <= now and (not ends or now < ends) then
    local units = tonumber(ARGV[run] or 1) * tonumber(ARGV[run + 1] or 1)
    for i = 1, subjects do
      local left, reset = decideUsually(KEYS[i], kind, n, span, ends, units, nonce)
      if left then replies[i], undecided = struct.pack('<ddd', 2, left, reset), undecided - 1 end
    end
  end
end
if undecided == 0 then return struct.pack('<d', now) .. table.concat(replies) end
${LIMIT}
${OPEN_RULES}
${PACKED}
local function decide(states)
  local given, charged, asked = nil, 0, 0
  for i = 1, #states do given = given or traceOf(states[i], nonce) end
  local reply, at = { given and 1 or 0, 0, 0, 0, 0, 0, 0 }, 2
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
  return packed(reply)
end
for i = 1, subjects do
  if not replies[i] then
    local first, last, isRead, states = (i - 1) * limits + 1, i * limits, true, nil
    if subjects == 1 then states = openRules(first, last)
    else isRead, states = pcall(openRules, first, last) end
    if isRead and states then replies[i] = decide(states)
    else replies[i] = struct.pack('<d', isRead and -1 or -2) end
  end
end
return struct.pack('<d', now) .. table.concat(replies)
`,
  buffers: true,
  decode: (reply) => reply as Buffer,
});
