import { defineScript, lua } from '../../../redis/index.js';
import { ANSWER } from './answer.fragment.js';
import { DELAY } from './delay.fragment.js';
import { FORGET } from './forget.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { NOW } from './now.fragment.js';
import { WRITES } from './writes.fragment.js';

/** Why a write or a task cannot be done: see `writes.fragment.ts`; `replaced`: a write takes the place of a queue. */
export type CommitFault = 'right' | 'stream' | 'type' | 'integer' | 'overflow' | 'replaced';

export type Commit =
  | { readonly how: 'done'; /** Of the published tasks, in order. */ readonly ids: readonly string[] }
  | { readonly how: 'stale' }
  | {
      readonly how: 'refused';
      /** The number of the write, or that of the task, from 0. */
      readonly write?: number;
      readonly next?: number;
      readonly fault: CommitFault;
      /** The type of the key, if that is the fault. */
      readonly kind: string;
    };

/** How many arguments a task that is to be published has. */
const NEXT = 9;

/**
 * Acknowledges and deletes a finished task, does the writes and publishes the tasks that its handler has noted, counts it in its join,
 * and sends its result: all in one step, or nothing.
 *
 * KEYS  stream, index, delayed, bodies, alive, history (of the queue), then the keys of all writes, and those of the tasks' queues
 * ARGV  group, consumer, id (of the entry), task (its id), deliveries, side (what the names of the queue's side keys begin with), join
 *       (the text that names join and member, or ''), inboxes, timestamp, meta (what says who waits for the result), outcome
 *       (`returned`, `failed` or `unsendable`; '': nobody waits), text (the result), run (what is
 *       recorded, see `history.fragment.ts`; '': nothing), writes (how many), then for each write: the number of its words, and the words; then for each task: its queue's stream, delayed, bodies and alive, handle (its id, if it is delayed),
 *       payload, meta (a delayed one has its id in it), delayMs (0: at once), runAtMs (-1: after delayMs)
 * Reply {@link Commit}
 *
 * Fence: the entry must still be pending, with this consumer, for this delivery. A worker that was presumed dead may end its run long
 * after another one took the task over: it writes nothing. This is the difference to `queue:ack`, where a success is not fenced.
 *
 * All checks come before the first write: the rights, the type of every key, and numbers. Then nothing can fail. Full server: the first
 * write is XACK, which is allowed, and then so is the rest. It is at most what one task may note. A server that refuses all writes
 * refuses that one, so nothing was done.
 *
 * Crash: it is one script, so either the task is pending and nothing was written, or it is acknowledged and all is. Resend, repeat: finds
 * nothing pending, and answers `stale`; the first call has done it. Pause, reorder: ids are never used again, and a late call is `stale`.
 * Slots: the keys of one queue, and others in its slot, which the caller has checked.
 */
export const commitScript = defineScript({
  name: 'queue:commit',
  keys: ['stream', 'index', 'delayed', 'bodies', 'alive', 'history'],
  args: {
    group: 'text',
    consumer: 'text',
    id: 'text',
    task: 'text',
    deliveries: 'number',
    side: 'text',
    join: 'text',
    inboxes: 'text',
    timestamp: 'text',
    meta: 'text',
    outcome: 'text',
    text: 'text',
    run: 'text',
    writes: 'number',
  },
  lua: lua`
${NOW}
${FORGET}
${INDEX}
${ANSWER}
${DELAY}
${JOIN}
${HISTORY}
${WRITES}
local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
if not pending or pending[2] ~= consumer or pending[4] ~= deliveries then return { 'stale' } end
local member, refused = joined(join)
if refused then return refused end

local at = rest + 1
for n = 1, writes do
  local count = tonumber(ARGV[at])
  local fault, kind = refusedWrite(at + 1, count)
  if fault then return { 'write', n, fault, kind or '' } end
  at = at + count + 1
end
local tasks = at
local function wrongKind(key, wanted)
  local kind = kindOf(key)
  return kind ~= wanted and kind ~= 'none' and kind
end
for i = tasks, #ARGV, ${NEXT} do
  local n, target, later = (i - tasks) / ${NEXT} + 1, ARGV[i], ARGV[i + 4] ~= ''
  local kind = wrongKind(target, 'stream')
    or later and (wrongKind(ARGV[i + 1], 'zset') or wrongKind(ARGV[i + 2], 'hash') or wrongKind(ARGV[i + 3], 'zset'))
  if kind then return { 'next', n, 'type', kind } end
  local may = mayRun('XADD', target, '*', 'payload', '')
  if later then
    may = mayRun('ZADD', ARGV[i + 1], 'NX', 0, '') and mayRun('ZRANGE', ARGV[i + 1], 0, 0) and mayRun('HSET', ARGV[i + 2], '', '')
      and mayRun('ZREVRANGE', ARGV[i + 3], 0, 2)
  end
  if not may then return { 'next', n, 'right', '' } end
end
refused = refusedRecord(run ~= '')
if refused then return refused end
if member and wrongKind(member.join.target, 'stream') then return { 'write', 0, 'replaced', '' } end

redis.call('XACK', stream, group, id)
rememberEntry(id, task, run)
if forget(id) then unindex(index, task, id) end
at = rest + 1
for _ = 1, writes do
  local count = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
local ids = { 'done' }
for i = tasks, #ARGV, ${NEXT} do
  local target, handle, payload, sent = ARGV[i], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]
  local delayMs, runAtMs = tonumber(ARGV[i + 7]), tonumber(ARGV[i + 8])
  if runAtMs >= 0 then delayMs = math.max(0, runAtMs - now) end
  if handle == '' then
    ids[#ids + 1] = redis.call('XADD', target, '*', 'payload', payload, 'timestamp', timestamp, 'retry_count', '0', 'meta', sent)
  else
    delayed, bodies, alive = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    delayTask(target, handle, nil, delayMs, { payload, timestamp, '0', sent })
    ids[#ids + 1] = handle
  end
end
settleMember(member, 'completed')
closeJoins()
if outcome ~= '' then answer(meta, task, outcome, text) end
return ids`,
  decode: (reply): Commit => {
    const [how, ...more] = reply as ['done' | 'stale' | 'write' | 'next', ...(string | number)[]];
    if (how === 'done') return { how, ids: more as string[] };
    if (how === 'stale') return { how };
    const [n, fault, kind] = more as [number, CommitFault, string];
    return { how: 'refused', [how]: n - 1, fault, kind };
  },
});
