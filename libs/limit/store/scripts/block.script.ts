import { BLOCK_BYTES, LIMIT_NOW, defineScript, lua } from '../../../redis/index.js';

/**
 * Closes limits for a time. What was charged to them stays charged.
 *
 * KEYS  one per limit, all of one subject
 * ARGV  ms, once (1: a block that there is stays as it is)
 * Reply 1
 *
 * Without `once`, the newest block holds, also if it is the shorter one. A repeat or a late execution blocks from that moment on.
 */
export const blockScript = defineScript({
  name: 'limit:block',
  keys: [],
  args: { ms: 'number', once: 'number' },
  lua: lua`
${LIMIT_NOW}
for i = 1, #KEYS do
  local text = redis.call('GET', KEYS[i]) or ''
  local isBlocked = false
  if string.sub(text, 1, 1) == '!' and #text > ${BLOCK_BYTES - 1} then
    local since, length = struct.unpack('<dd', text, 2)
    isBlocked, text = once == 1 and since + length > now, string.sub(text, ${BLOCK_BYTES + 1})
  end
  if not isBlocked then
    local ttl = math.max(ms, redis.call('PTTL', KEYS[i]))
    redis.call('SET', KEYS[i], struct.pack('<c1dd', '!', now, ms * 1000) .. text, 'PX', string.format('%.0f', math.ceil(ttl)))
  end
end
return 1
`,
  decode: (reply) => reply,
});
