import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';
import { DEFINITION, READ_SCHEDULE } from './schedules.fragment.js';

/** One stored schedule. */
export interface ListedSchedule {
  readonly id: string;
  readonly nextMs: number;
  readonly dueMs: number;
  /** 0: none was published yet. */
  readonly lastMs: number;
  readonly paused: boolean;
  /** The consumer that declared it; `-`: a caller of the API. */
  readonly by: string;
  /** Whether that process lives. */
  readonly lives: boolean;
  readonly spec: string;
  readonly payload: string;
}

export interface SchedulePage {
  /** For the next call; `'0'`: this was the last page. */
  readonly cursor: string;
  readonly schedules: readonly ListedSchedule[];
}

/**
 * A page of a queue's schedules, in no order.
 *
 * KEYS  alive, schedules, states
 * ARGV  cursor, count
 * Reply {@link SchedulePage}
 *
 * Read-only: a crash, a repeat or a reorder changes nothing. As with any scan, a schedule may be on two pages, and one that is
 * added meanwhile on none.
 */
export const listSchedulesScript = defineScript({
  name: 'queue:list-schedules',
  keys: ['alive', 'schedules', 'states'],
  args: { cursor: 'text', count: 'number' },
  lua: lua`
${NOW}
${DEFINITION}
${READ_SCHEDULE}
local page = redis.call('HSCAN', states, cursor, 'COUNT', count)
local out = {}
for i = 1, #page[2], 2 do
  local id = page[2][i]
  local s = readSchedule(id)
  local spec, payload = definitionOf(id)
  if s and spec then
    local ends = s.by ~= '-' and redis.call('ZSCORE', alive, s.by)
    local lives = ends and tonumber(ends) > now and 1 or 0
    for _, value in ipairs({ id, s.next, s.due, s.last, s.paused and 1 or 0, s.by, lives, spec, payload }) do
      out[#out + 1] = value
    end
  end
end
return { page[1], out }`,
  decode: (reply): SchedulePage => {
    const [cursor, values] = reply as [string, (string | number)[]];
    const schedules: ListedSchedule[] = [];
    for (let i = 0; i + 8 < values.length; i += 9) {
      const [id, nextMs, dueMs, lastMs, paused, by, lives, spec, payload] = values.slice(i, i + 9);
      schedules.push({
        ...{ id: String(id), by: String(by), spec: String(spec), payload: String(payload) },
        ...{ nextMs: Number(nextMs), dueMs: Number(dueMs), lastMs: Number(lastMs) },
        ...{ paused: paused === 1, lives: lives === 1 },
      });
    }
    return { cursor, schedules };
  },
});
