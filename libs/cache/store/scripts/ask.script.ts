import { defineScript, lua } from '../../../redis/index.js';
import { parseStored, type StoredValue } from '../stored-value.js';
import { CURRENT, MINT, NOW, PARSE } from './epoch.fragment.js';
import { LEASE } from './lease.fragment.js';
import { SLOT } from './slot.fragment.js';

/** What Redis answers to a reader. `serverMs`: the server's clock. */
export type Answer = { readonly serverMs: number } & (
  | {
      /** Stale: the value is past its time, but the caller still accepts it. */
      readonly kind: 'hit' | 'stale';
      readonly value: StoredValue;
      /** `load`: the reader has the lease to refresh the value. `wait`: it is registered for the outcome of a running refresh. */
      readonly then: 'load' | 'wait' | undefined;
    }
  | { readonly kind: 'load' }
  | { readonly kind: 'wait'; readonly remainingMs: number }
  /** The source has no free slot. The request is queued, and will be told to ask again. */
  | { readonly kind: 'full' }
  | { readonly kind: 'error'; readonly failure: string; readonly remainingMs: number }
);

/**
 * Reads a value, or takes the lease to load it, or registers for the outcome of the load that runs. All this is one step, so no
 * request can miss a value that was stored between a read and a lease, nor a push between a lease and a registration.
 *
 * KEYS   value, lease, epoch, recent, slots, queue
 * ARGV   token (of this request alone)
 *        inbox (of this process)
 *        leaseMs
 *        tagPrefix
 *        keepMs (how long the value may live)
 *        staleMs (how long past its time the caller accepts a value)
 *        waitForRefresh (1: the caller waits for a refresh that runs; 0: it takes a stale value at once)
 *        earlyRefreshDraw (the draw for the early refresh)
 *        hasResultTags (1: the result names further tags)
 *        limit (how many loads the source takes at once; 0: any number)
 *        retryForSlot (1: the request was queued for a slot before)
 *        …tags
 * Reply  { 'hit' | 'stale', server ms, value, 'load' | 'wait' | nothing }
 *        | { 'load', server ms }
 *        | { 'wait', server ms, ms left }
 *        | { 'full', server ms }
 *        | { 'error', server ms, JSON, ms left }
 *
 * A value, or a load that runs, counts only while its epochs are the current ones. An invalidated value is a miss. A load that
 * began before the invalidation loses its lease. The early refresh is XFetch: it is due once
 * earlyRefreshDraw × load time ≥ time left, where earlyRefreshDraw is -β·ln(random).
 *
 * A hit writes nothing.
 * - Crash: a lease that is not renewed expires, and the next request gets it.
 * - Pause: the lease goes to another token. Whatever the paused process still does is fenced by its own token.
 * - Duplicate: the token finds its own lease ('load' again), or registers again (no change).
 * - Reorder: requests do not depend on one another, so any order is right.
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
