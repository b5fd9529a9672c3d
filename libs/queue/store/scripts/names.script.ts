import { defineScript, lua } from '../../../redis/index.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';

/**
 * Notes that a process works on a named task, before it reads the first one. If the whole queue is paused, a name that was not known
 * then is paused now.
 *
 * KEYS  names, pausedNames (of the whole queue), paused (of this name)
 * ARGV  name
 * Reply 1: the name is new, 0: it was known
 *
 * Crash: it is one script, so a name is never known without its pause. Resend, duplicate: a known name changes nothing; above all, a
 * name that was resumed alone stays resumed. Reorder: a pause of the whole queue sets `pausedNames` and reads the names in one step, so
 * either this name is among them, or it finds the pause here. A key of another type is left alone: the name works all the same.
 */
export const joinNamesScript = defineScript({
  name: 'queue:join-names',
  keys: ['names', 'pausedNames', 'paused'],
  args: { name: 'text' },
  lua: lua`
${NOW}
${IS_OF}
if not isOf(names, 'set') or redis.call('SADD', names, name) == 0 then return 0 end
if redis.call('EXISTS', pausedNames) == 1 then redis.call('SET', paused, string.format('%.0f', now), 'NX') end
return 1`,
  decode: (reply) => reply as number,
});

/**
 * Tells the names of a queue of named tasks that a process has worked on, and says what becomes of names that come later.
 *
 * KEYS  names, pausedNames
 * ARGV  later (1: they are paused, 0: they are not, -1: as it is)
 * Reply the names
 *
 * Crash, resend, duplicate, reorder: it only sets or deletes one key, and the last call holds. The names themselves are paused and
 * resumed one by one, after this script.
 */
export const namesScript = defineScript({
  name: 'queue:names',
  keys: ['names', 'pausedNames'],
  args: { later: 'number' },
  lua: lua`
${NOW}
if later == 1 then redis.call('SET', pausedNames, string.format('%.0f', now)) end
if later == 0 then redis.call('DEL', pausedNames) end
return redis.call('SMEMBERS', names)`,
  decode: (reply) => reply as string[],
});
