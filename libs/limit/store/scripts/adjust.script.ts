import { LIMIT, LIMIT_NOW, defineScript, lua } from '../../../redis/index.js';
import { OPEN_RULES } from './consume.script.js';

/**
 * Charges units that were used beyond a reservation, or gives units back.
 *
 * KEYS  one per limit, all of one subject
 * ARGV  nonce, units (less than 0: to give back), at (µs: when they were charged; 0: any units, the oldest first), ends (µs: the end
 *       of the turn that is given back); limits as of `limit:consume`
 * Reply 1: done. Else {-1, now}: the calendar window that the caller named has ended, and nothing was done
 *
 * - Units are charged also where they do not fit: they were used.
 * - Units that are given back are those of their instant only. After a reset or a lapse, nothing is given back.
 * - Duplicate: a charge is known by its nonce. A refund may not be sent twice, so no caller does.
 * - Crash of the caller before this script: the units stay charged.
 */
export const adjustScript = defineScript({
  name: 'limit:adjust',
  keys: [],
  args: { nonce: 'bytes', units: 'number', at: 'number', ends: 'number' },
  lua: lua`
${LIMIT_NOW}
${LIMIT}
${OPEN_RULES}
local states = openRules(1, #KEYS)
if not states then return { -1, now } end
for i = 1, #states do if units > 0 and traceOf(states[i], nonce) then return 1 end end
for i = 1, #states do
  local s = states[i]
  if units > 0 then
    chargeLimit(s, units)
    if not s.wait then trace(s, nonce, units) end
  else refundLimit(s, -units, at > 0 and at or nil, ends) end
  saveLimit(s)
end
return 1
`,
  decode: (reply) => reply === 1,
});
