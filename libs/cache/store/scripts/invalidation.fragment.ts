import { FRAME, defineFragment, lua } from '../../../redis/index.js';

/**
 * Tells every process that something in the cache was invalidated, so that copies in local tiers are removed. Each script that
 * invalidates calls this function, in the same step.
 *
 *   announce(sequence, channel, what, …names)
 *
 *   sequence  key of the lane's counter             channel  the lane's channel, which every process hears
 *   what      'key' | 'tag' | 'all'                  names    the keys, or tags; none for 'all'
 *
 * Inbox messages are of kind `cache:invalidated`: number, what, names. Numbers grow by one. A process that hears another
 * number than the next one has missed a message, and drops all its copies. A counter that starts again (evicted, flushed) has
 * the same effect. A full Redis refuses to count, and a delete must work even then: the number is `?`, which is never the
 * next one.
 *
 * The call is the last step of a script. For a user without rights on channels it fails with `NOPERM`, after everything else is
 * done. Other processes may then serve their copies for longer than a second, and the caller must know that.
 */
export const INVALIDATION = defineFragment({
  name: 'invalidation',
  needs: [FRAME],
  lua: lua`
local function announce(sequence, channel, what, ...)
  local number = redis.pcall('INCR', sequence)
  if type(number) ~= 'number' then number = '?' end
  redis.call('PUBLISH', channel, frame('cache:invalidated', number, what, ...))
end
`,
});
