import { defineScript, lua } from '../../../redis/index.js';

/** How many blocks of entries are measured: the oldest ones, which are read next. This takes about two milliseconds. */
const BLOCKS = 20_000;

/**
 * How many bytes some streams have in all.
 *
 * KEYS  the streams of one XREADGROUP
 * ARGV  none
 * Reply the bytes; -1: unknown, because the user has no right to `MEMORY USAGE`
 *
 * Exact up to 20,000 blocks of a stream, each of up to 100 entries or 4 KB; a larger entry has a block of its own. The blocks
 * behind them are counted with the mean size of these blocks. Read-only.
 *
 * Slots: the streams of one XREADGROUP. On a server that knows slots they are in one slot.
 */
export const backlogBytesScript = defineScript({
  name: 'queue:backlog-bytes',
  keys: [],
  args: {},
  lua: lua`
local bytes = 0
for _, key in ipairs(KEYS) do
  local used = redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', ${BLOCKS})
  if type(used) == 'table' then return -1 end
  bytes = bytes + (used or 0)
end
return bytes`,
  decode: (reply) => reply as number,
});
