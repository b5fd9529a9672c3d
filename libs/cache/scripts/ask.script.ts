import { defineScript, lua } from '../../redis/index.js';

/** What a reader is told: the value, to load it, to wait for who loads it, or what the last loader failed with. */
export type Answer =
  | { readonly kind: 'hit'; readonly text: string }
  | { readonly kind: 'load' }
  | { readonly kind: 'wait'; readonly remainingMs: number }
  | { readonly kind: 'error'; readonly failure: string; readonly remainingMs: number };

/**
 * Reads a value, or takes the lease to load it, or registers for the outcome of who has it: in one step, so that
 * nobody can miss a value that was stored between a read and a lease, nor a push between a lease and a registration.
 *
 * KEYS   value, lease
 * ARGV   token (of this request alone), inbox (of this process), leaseMs
 * Reply  the value's text | { 'load' } | { 'wait', ms left } | { 'error', JSON, ms left }
 *
 * A hit writes nothing. Crash: an unrenewed lease expires, the next to ask gets it. Pause: the lease goes to another token,
 * and all that the paused process may still do is fenced by its own. Duplicate: its own token finds its own lease
 * (again 'load'), or registers again (no change). Reorder: requests know nothing of one another, any order is right.
 */
export const askScript = defineScript({
  name: 'cache-ask',
  keys: ['value', 'lease'],
  args: { token: 'text', inbox: 'text', leaseMs: 'number' },
  lua: lua`
local text = redis.call('GET', value)
if text then return text end
local held = redis.call('HMGET', lease, 'token', 'error')
if held[2] then return { 'error', held[2], redis.call('PTTL', lease) } end
if held[1] and held[1] ~= token then
  redis.call('HSET', lease, 'w:' .. token, inbox)
  return { 'wait', redis.call('PTTL', lease) }
end
redis.call('HSET', lease, 'token', token, 'owner', inbox)
redis.call('PEXPIRE', lease, leaseMs)
return { 'load' }
`,
  decode: (reply): Answer => {
    if (typeof reply === 'string') return { kind: 'hit', text: reply };
    const [kind, ...rest] = reply as [string, ...unknown[]];
    if (kind === 'load') return { kind };
    if (kind === 'wait') return { kind, remainingMs: Number(rest[0]) };
    return { kind: 'error', failure: rest[0] as string, remainingMs: Number(rest[1]) };
  },
});
