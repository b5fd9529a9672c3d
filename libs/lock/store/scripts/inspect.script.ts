import { defineScript, lua } from '../../../redis/index.js';
import { instantIn } from '../../../weave/index.js';
import { processOf } from '../owner.js';
import type { LockHolder } from '../../lock.inspection.js';
import { decodeHolder, type HolderReply } from './acquire.reply.js';

/** At most so many waiters are read: a look must not hold up the server. */
const WAITERS_SHOWN = 100;

/** One lock as it stood in Redis at one moment; times are of the server's clock. */
export interface Inspected {
  readonly holder: LockHolder;
  /** -1: it never expires. */
  readonly ttlMs: number;
  readonly nowMs: number;
  /** How many wait, of whom `waiters` are the first. */
  readonly waiting: number;
  readonly waiters: readonly InspectedWaiter[];
}

export interface InspectedWaiter {
  readonly owner: string;
  /** `host:pid:nonce` of its process. */
  readonly process: string;
  readonly sinceMs: number;
  /** When its process was last heard of. */
  readonly seenMs: number;
}

type Reply = [HolderReply, ttlMs: number, now: [string, string], waiting: number, string[]];

/**
 * Reads the holder of a lock and its waiters, in one step, changing nothing.
 *
 * KEYS  lock, fence, holder, queue, waiters
 * Reply nil: free. {{owner, fence, record}, ttl, {seconds, µs}, waiting, {nonce, place, waiter, …}}: the first 100 in the
 *       order of service.
 *
 * A waiter without a description (its heartbeat is just coming back, or data was lost) is counted, not shown.
 */
export const inspectScript = defineScript({
  name: 'lock:inspect',
  keys: ['lock', 'fence', 'holder', 'queue', 'waiters'],
  args: {},
  lua: lua`
local owner = redis.call('GET', lock)
if not owner then return false end
local first, shown = redis.call('ZRANGE', queue, 0, ${WAITERS_SHOWN - 1}, 'WITHSCORES'), {}
for i = 1, #first, 2 do
  local waiter = redis.call('HGET', waiters, first[i])
  if waiter then
    shown[#shown + 1] = first[i]
    shown[#shown + 1] = first[i + 1]
    shown[#shown + 1] = waiter
  end
end
local held = { owner, redis.call('GET', fence), redis.call('GET', holder) }
return { held, redis.call('PTTL', lock), redis.call('TIME'), redis.call('ZCARD', queue), shown }
`,
  decode: (reply): Inspected | null => {
    if (reply === null) return null;
    const [held, ttlMs, [seconds, us], waiting, shown] = reply as Reply;
    const waiters: InspectedWaiter[] = [];
    for (let i = 0; i < shown.length; i += 3) waiters.push(decodeWaiter(shown.slice(i, i + 3)));
    const holder = decodeHolder(...held);
    if (holder === undefined) return null;
    return { holder, ttlMs, nowMs: Number(seconds) * 1_000 + Number(us) / 1_000, waiting, waiters };
  },
});

/** See `settle`: its place is when it came, in µs. */
function decodeWaiter([nonce = '', place, record = '']: string[]): InspectedWaiter {
  const [, seen, size, names = ''] = /^(\d+) \d+ \d+ (\d+)\S* (.*)$/s.exec(record) ?? [];
  // The length counts bytes.
  const owner = Buffer.from(names).subarray(Number(size)).toString();
  return {
    owner,
    process: processOf(nonce)?.id ?? '',
    sinceMs: instantIn(Number(place) / 1_000),
    seenMs: instantIn(Number(seen)),
  };
}
