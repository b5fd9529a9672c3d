import { defineScript, lua } from '../../../redis/index.js';

/** A delayed task, with its entry still framed. */
export interface ListedDelayed {
  readonly handle: string;
  /** When the task is due, in milliseconds on the server's clock. */
  readonly dueMs: number;
  readonly body: Buffer;
}

/**
 * A page of delayed tasks, the next due first.
 *
 * KEYS  delayed, bodies
 * ARGV  afterMs and after (score and handle of the last one that was seen; -1 and '' from the beginning), count
 * Reply up to count {@link ListedDelayed}
 *
 * If the last seen task is gone, the page begins where that task's due time begins: no remaining task is left out, and some may
 * be listed again. Read-only.
 */
export const listDelayedScript = defineScript({
  name: 'queue:list-delayed',
  keys: ['delayed', 'bodies'],
  args: { afterMs: 'number', after: 'text', count: 'number' },
  buffers: true,
  lua: lua`
local start = 0
if after ~= '' then
  local rank = redis.call('ZRANK', delayed, after)
  start = rank and rank + 1 or redis.call('ZCOUNT', delayed, '-inf', '(' .. string.format('%.0f', afterMs))
end
local rows = redis.call('ZRANGE', delayed, start, start + count - 1, 'WITHSCORES')
local page = {}
for i = 1, #rows, 2 do
  page[#page + 1] = { rows[i], rows[i + 1], redis.call('HGET', bodies, rows[i]) or '' }
end
return page`,
  decode: (reply) => (reply as DelayedRow[]).map(delayedRow),
});

export type DelayedRow = [handle: Buffer, due: Buffer, body: Buffer];

export function delayedRow([handle, due, body]: DelayedRow): ListedDelayed {
  return { handle: handle.toString(), dueMs: Number(due.toString()), body };
}
