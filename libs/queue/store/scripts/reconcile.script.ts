import { defineScript, lua } from '../../../redis/index.js';
import type { Entry } from '../stream-reply.js';
import { CLAIM_BYTES } from './take-over.fragment.js';

export interface Reconciled {
  /** The entries that are pending with the caller: id → how often the entry was delivered. */
  readonly pending: ReadonlyMap<string, number>;
  /** Those of them that the caller did not know of, and has to run now. */
  readonly lost: Entry[];
}

/**
 * Tells a consumer which entries are pending with it, and returns those that were delivered but never arrived.
 *
 * KEYS  stream
 * ARGV  group, consumer, capacity, minIdleMs, then the ids that the caller knows of
 * Reply {@link Reconciled}
 *
 * Call it while none of the caller's reads is under way. Then all other pending entries were lost with a socket, and no process
 * would ever take them over, because the caller lives. `minIdleMs` guards against a socket that may not be dead yet: younger
 * entries wait for the next time. The script does not read the consumer's history with XREADGROUP, which counts as a delivery: an
 * entry that no process has seen was not delivered. So its count stays, and with it the fence of its settlement.
 *
 * Crash, resend: no entry changes its owner, and a repeat returns the same. Late, after the caller began to read again: the reply
 * of a script that was given up is dropped, so the caller gets nothing from it, and the next call asks again. An entry that was
 * deleted while it was pending is acknowledged.
 */
export const reconcileScript = defineScript({
  name: 'queue:reconcile',
  keys: ['stream'],
  args: { group: 'text', consumer: 'text', capacity: 'number', minIdleMs: 'number' },
  lua: lua`
local known = {}
for i = rest + 1, #ARGV do known[ARGV[i]] = true end
local pending, lost, bytes = {}, {}, 0
for _, each in ipairs(redis.call('XPENDING', stream, group, '-', '+', 100000, consumer)) do
  local id = each[1]
  pending[#pending + 1] = { id, each[4] }
  if not known[id] and each[3] >= minIdleMs and #lost < capacity and bytes < ${CLAIM_BYTES} then
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if entry then
      lost[#lost + 1] = { id, each[4], entry[2] }
      for _, field in ipairs(entry[2]) do bytes = bytes + #field end
    else redis.call('XACK', stream, group, id) end
  end
end
return { pending, lost }`,
  decode: (reply): Reconciled => {
    const [pending, lost] = reply as [[string, number][], [string, number, string[]][]];
    return {
      pending: new Map(pending),
      lost: lost.map(([id, deliveries, fields]) => ({ id, deliveries, fields })),
    };
  },
});
