import { defineScript, lua } from '../../../redis/index.js';
import { DEFINITION, PUBLISH_TASK } from './schedules.fragment.js';

/**
 * Publishes a task of a schedule at once. Its instants do not change.
 *
 * KEYS  stream, index, schedules
 * ARGV  id, task (the id of the new task)
 * Reply whether there is such a schedule
 *
 * Crash: the task is published, or not. Resend, duplicate: a second task with the same id; the caller does not send it again.
 * Reorder: nothing depends on it. Full server: refused as a whole.
 */
export const runScheduleScript = defineScript({
  name: 'queue:run-schedule',
  keys: ['stream', 'index', 'schedules'],
  args: { id: 'text', task: 'text' },
  lua: lua`
${PUBLISH_TASK}
${DEFINITION}
local _, payload = definitionOf(id)
if not payload then return 0 end
publishTask(task, payload)
return 1`,
  decode: (reply) => reply === 1,
});
