import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';

export interface LivingConsumer {
  readonly consumer: string;
  /** When the lease ends unless it is renewed, in milliseconds from now. */
  readonly leaseMs: number;
  readonly group: string | undefined;
  /** Entries that the consumer has: running or prefetched. */
  readonly pending: number;
}

/**
 * Lists the workers of a queue: every consumer with a running lease.
 *
 * KEYS  stream, alive, then the stream of each group's own retries
 * ARGV  none
 * Reply {@link LivingConsumer}s
 *
 * Read-only.
 */
export const workersScript = defineScript({
  name: 'queue:workers',
  keys: ['stream', 'alive'],
  args: {},
  lua: lua`
${NOW}
local found = {}
local function count(key)
  if redis.call('EXISTS', key) == 0 then return end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', key, flat[2])) do
      local known = found[info[2]] or { group = flat[2], pending = 0 }
      known.pending = known.pending + info[4]
      found[info[2]] = known
    end
  end
end
count(stream)
for i = 3, #KEYS do count(KEYS[i]) end
local out = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. string.format('%.0f', now), '+inf')) do
  local known = found[name] or { group = '', pending = 0 }
  out[#out + 1] = { name, math.floor(tonumber(redis.call('ZSCORE', alive, name)) - now), known.group, known.pending }
end
return out`,
  decode: (reply): LivingConsumer[] =>
    (reply as [string, number, string, number][]).map(([consumer, leaseMs, group, pending]) => ({
      consumer,
      leaseMs,
      group: group === '' ? undefined : group,
      pending,
    })),
});
