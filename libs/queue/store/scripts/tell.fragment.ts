import { FRAME, defineFragment, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX } from '../queue.keys.js';

/**
 * `tell(kind, …parts)`: sends a message to the inboxes of the three processes with the latest leases in `alive`. Any one of them
 * is enough. `inboxes` is the prefix of the names of inboxes.
 *
 * A hundred processes cost no more than three, and a process that was just killed does not delay the others. If none of the three
 * gets the message, each process looks by itself once a second.
 *
 * A message only saves time, and the script has written before it. So `NOPERM` for a user without rights on channels is no
 * failure.
 */
export const TELL = defineFragment({
  name: 'tell',
  needs: [FRAME],
  locals: ['alive', 'inboxes'],
  lua: lua`
local function tell(...)
  local message = frame(...)
  for _, name in ipairs(redis.call('ZREVRANGE', alive, 0, 2)) do
    redis.pcall('PUBLISH', inboxes .. string.sub(name, ${CONSUMER_PREFIX.length + 1}), message)
  end
end
`,
});
