import { LIMIT_NOW, defineScript, lua } from '../../../redis/index.js';

/**
 * Closes limits for a time. What was charged to them stays charged.
 *
 * KEYS  one per limit, all of one subject
 * ARGV  ms
 * Reply 1
 *
 * The newest block holds, also if it is the shorter one. A repeat or a late execution blocks from that moment on.
 */
export const blockScript = defineScript({
  name: 'limit:block',
  keys: [],
  args: { ms: 'number' },
  lua: lua`
${LIMIT_NOW}
for i = 1, #KEYS do
  local text = redis.call('GET', KEYS[i]) or ''
  if string.sub(text, 1, 1) == '!' then text = string.sub(text, 18) end
  local ttl = math.max(ms, redis.call('PTTL', KEYS[i]))
  redis.call('SET', KEYS[i], struct.pack('<c1dd', '!', now, ms * 1000) .. text, 'PX', string.format('%.0f', math.ceil(ttl)))
end
return 1
`,
  decode: (reply) => reply,
});
