import { FRAME, defineScript, lua } from '../../../redis/index.js';
import { ANSWER } from './answer.fragment.js';

/** For how long the last progress of a task is kept at most, in milliseconds: a day. It is deleted when the task is done. */
export const PROGRESS_KEPT_MS = 24 * 3_600_000;

/**
 * Keeps the last progress of running tasks, and sends it to the publishers that wait for them.
 *
 * KEYS  stream, then the progress key of each task
 * ARGV  group, side (what the names of the queue's side keys begin with), inboxes, then for each task: the value as JSON, what its
 *       meta says of who waits (`{"reply":…,"key":…}`; '': nobody), and its id
 * Reply how many publishers were told
 *
 * It decides nothing about the tasks, and so is not fenced: a process that was presumed dead may report over its successor, until that
 * reports again. Crash: some values are older. Resend, duplicate: the same values again. Reorder: an older value may stand until the next.
 * A value of a task that is done meanwhile is read by nobody and expires. Slots: the keys of one queue.
 */
export const reportProgressScript = defineScript({
  name: 'queue:report-progress',
  keys: ['stream'],
  args: { group: 'text', side: 'text', inboxes: 'text' },
  lua: lua`
${FRAME}
${ANSWER}
local told = 0
for i = 2, #KEYS do
  local value, meta, task = unpack(ARGV, rest + 3 * i - 5, rest + 3 * i - 3)
  redis.call('SET', KEYS[i], value, 'PX', ${PROGRESS_KEPT_MS})
  eachWaiter(meta, task, function(process, token)
    redis.pcall('PUBLISH', inboxes .. process, frame('queue:progress', token, value))
    told = told + 1
  end)
end
return told`,
  decode: (reply) => reply as number,
});
