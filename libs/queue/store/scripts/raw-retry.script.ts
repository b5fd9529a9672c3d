import { defineScript, lua } from '../../../redis/index.js';

/**
 * The raw protocol's retry: a copy of the payload into the retry stream, or into the dead-letter stream once the
 * retries are used up; with a group, the original is acknowledged in the same step.
 *
 * KEYS  stream, retryStream, deadLetterStream (they may be one)
 * ARGV  id, payload, retryCount, maxRetries, group ('' for none)
 * Reply 'OK', or nothing if there is a group and the entry was not pending in it
 *
 * Duplicate, resend (with a group): the second call finds nothing pending and adds nothing, so a task has one copy. Crash: it is
 * one script, so either the original is pending or its copy exists. Without a group nothing is acknowledged: the caller has to do
 * this, and a crash in between makes two tasks of one.
 * The order is acknowledge, add: a full server refuses XADD as the first write, but allows it after an XACK. Only a target that
 * is no stream could fail after the first write. So its type is checked before.
 */
export const rawRetryScript = defineScript({
  name: 'queue:raw-retry',
  keys: ['stream', 'retryStream', 'deadLetterStream'],
  args: { id: 'text', payload: 'bytes', retryCount: 'number', maxRetries: 'number', group: 'text' },
  rights: ['XADD'],
  lua: lua`
local count = retryCount + 1
local target = count < maxRetries and retryStream or deadLetterStream
local kind = redis.call('TYPE', target).ok
if kind ~= 'stream' and kind ~= 'none' then return redis.error_reply('WRONGTYPE ' .. target .. ' is not a stream') end
if group ~= '' and redis.call('XACK', stream, group, id) == 0 then return false end
redis.call('XADD', target, '*', 'payload', payload, 'original_id', id, 'timestamp', redis.call('TIME')[1],
  'retry_count', string.format('%.0f', count))
return 'OK'`,
  decode: (reply) => reply as 'OK' | null,
});
