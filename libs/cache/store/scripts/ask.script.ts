import { defineScript, lua } from '../../../redis/index.js';
import { parseStored, type StoredValue } from '../stored-value.js';
import { CURRENT, MINT, NOW, PARSE } from './epoch.fragment.js';
import { LEASE } from './lease.fragment.js';
import { SLOT } from './slot.fragment.js';

/** What a reader is told. `serverMs`: the server's clock. */
export type Answer = { readonly serverMs: number } & (
  | {
      /** Stale: past its time, but within what the caller accepts. */
      readonly kind: 'hit' | 'stale';
      readonly value: StoredValue;
      /** `load`: with the lease to refresh it; `wait`: registered for the outcome of the refresh that runs. */
      readonly then: 'load' | 'wait' | undefined;
    }
  | { readonly kind: 'load' }
  | { readonly kind: 'wait'; readonly remainingMs: number }
  /** The source has no slot: queued, to be told to ask again. */
  | { readonly kind: 'full' }
  | { readonly kind: 'error'; readonly failure: string; readonly remainingMs: number }
);

/**
 * Reads a value, or takes the lease to load it, or registers for the outcome of the load that runs. All this is one step, so no
 * request can miss a value that was stored between a read and a lease, nor a push between a lease and a registration.
 *
 * KEYS   value, lease, epoch, recent, slots, queue
 * ARGV   token (of this request alone), inbox (of this process), leaseMs, tagPrefix, keepMs (that the value may live),
 *        staleMs (past its time that the caller accepts), waitForRefresh (1: waits for a refresh that runs, rather than take
 *        a stale value at once), earlyRefreshDraw (of the early refresh), hasResultTags (1: the result names further tags),
 *        limit (of loads at the source; 0: none), retryForSlot (1: was queued for a slot before), …tags
 * Reply { 'hit' | 'stale', server ms, value, 'load' | 'wait' | nothing } | { 'load', server ms }
 *        | { 'wait', server ms, ms left } | { 'full', server ms } | { 'error', server ms, JSON, ms left }
 *
 * A value, or a load that runs, counts only in the epochs of now: what was invalidated is not there, and a load that began before
 * the invalidation is taken over. The early refresh is XFetch: due once earlyRefreshDraw × load time ≥ time left, where
 * earlyRefreshDraw is -β·ln(random).
 *
 * A hit writes nothing. Crash: an unrenewed lease expires, the next to ask gets it. Pause: the lease goes to another token,
 * and all that the paused process may still do is fenced by its own. Duplicate: its own token finds its own lease
 * (again 'load'), or registers again (no change). Reorder: requests know nothing of one another, any order is right.
 *
 * @see Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015
 */
export const askScript = defineScript({
  name: 'cache:ask',
  keys: ['value', 'lease', 'epoch', 'recent', 'slots', 'queue'],
  args: {
    token: 'text',
    inbox: 'text',
    leaseMs: 'number',
    tagPrefix: 'text',
    keepMs: 'number',
    staleMs: 'number',
    waitForRefresh: 'number',
    earlyRefreshDraw: 'number',
    hasResultTags: 'number',
    limit: 'number',
    retryForSlot: 'number',
  },
  lua: lua`
${NOW}
${CURRENT}
${PARSE}
${MINT}
${LEASE}
${SLOT}
-- A request that was woken for a slot and needs none leaves the slot to the next request.
local function answer(...)
  if retryForSlot == 1 then
    redis.call('ZREM', queue, token .. ' ' .. inbox)
    if freeSlots() > 0 then wakeQueued(1) end
  end
  return { ... }
end

local kind
local stored = redis.call('GET', value)
if stored then
  local named, untilMs, loadMs, tags = parse(stored)
  if named and current(named, tags) then
    local left = untilMs - nowMs
    if left > 0 then
      if earlyRefreshDraw * loadMs < left then return answer('hit', nowMs, stored) end
      kind = 'hit'
    elseif left + staleMs > 0 then
      kind = 'stale'
    end
  end
end

local held = redis.call('HMGET', lease, 'token', 'error', 'epoch', 'tags')
if held[2] then
  if kind then return answer(kind, nowMs, stored) end
  return answer('error', nowMs, held[2], redis.call('PTTL', lease))
end
if held[1] and held[1] ~= token then
  if held[3] and current(held[3], held[4]) then
    if kind == 'hit' or (kind and waitForRefresh == 0) then return answer(kind, nowMs, stored) end
    redis.call('HSET', lease, 'w:' .. token, inbox)
    if kind then return answer(kind, nowMs, stored, 'wait') end
    return answer('wait', nowMs, redis.call('PTTL', lease))
  end
  endLease(lease, 'again', '', true)
end

if limit > 0 then
  local queued = token .. ' ' .. inbox
  local free = freeSlots()
  -- Requests that came earlier are served earlier.
  if retryForSlot == 0 and free > 0 and wakeQueued(free) == 1 then free = 0 end
  if free <= 0 and not redis.call('ZSCORE', slots, token) then
    if kind then return answer(kind, nowMs, stored) end
    redis.call('ZADD', queue, retryForSlot == 1 and nowMs - 1000000000 or nowMs, queued)
    redis.call('PEXPIRE', queue, 100 * leaseMs)
    return { 'full', nowMs }
  end
  redis.call('ZREM', queue, queued)
  redis.call('ZADD', slots, nowMs + leaseMs, token)
  redis.call('PEXPIRE', slots, leaseMs)
end

local tags = {}
for i = rest + 1, #ARGV do tags[i - rest] = ' ' .. ARGV[i] .. '=' .. mint(tagPrefix .. ARGV[i], keepMs) end
redis.call('HSET', lease, 'token', token, 'owner', inbox, 'epoch', mint(epoch, keepMs), 'tags', table.concat(tags))
if hasResultTags == 1 then
  local guard = redis.call('ZRANGE', recent, 0, 0)[1]
  if not guard then
    guard = '#' .. token .. '.' .. string.format('%.0f', nowUs)
    redis.call('ZADD', recent, 0, guard)
  end
  if redis.call('PTTL', recent) < keepMs then redis.call('PEXPIRE', recent, 2 * keepMs) end
  redis.call('HSET', lease, 'late', guard .. ' ' .. redis.call('ZRANGE', recent, -1, -1, 'WITHSCORES')[2])
end
redis.call('PEXPIRE', lease, leaseMs)
if kind then return { kind, nowMs, stored, 'load' } end
return { 'load', nowMs }
`,
  decode: (reply): Answer => {
    const [kind, serverMs, first, second] = reply as ['hit', number, string, 'load' | 'wait' | undefined];
    switch (kind as Answer['kind']) {
      case 'hit':
      case 'stale': {
        const value = parseStored(first);
        if (value === undefined) throw new SyntaxError('a stored value without its header');
        return { kind, serverMs, value, then: second };
      }
      case 'wait':
        return { kind: 'wait', serverMs, remainingMs: Number(first) };
      case 'error':
        return { kind: 'error', serverMs, failure: first, remainingMs: Number(second) };
      case 'load':
        return { kind: 'load', serverMs };
      case 'full':
        return { kind: 'full', serverMs };
    }
  },
});
