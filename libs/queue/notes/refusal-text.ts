import type { Commit } from '../store/scripts/commit.script.js';
import type { AckWrite } from './ack-write.js';
import type { Noted } from './task-notes.js';

type Refusal = Extract<Commit, { how: 'refused' }>;

const TYPES: Readonly<Record<AckWrite[0], string>> = {
  ...{ set: 'string', del: 'key', unlink: 'key', expire: 'key', incrby: 'string', decrby: 'string' },
  ...{
    hset: 'hash',
    hdel: 'hash',
    hincrby: 'hash',
    sadd: 'set',
    srem: 'set',
    zadd: 'zset',
    zrem: 'zset',
    rpush: 'list',
  },
};

/** What was refused, why, and what helps. */
export function refusalText({ write, next, fault, kind }: Refusal, noted: Noted): string {
  if (next !== undefined) return ofTask(noted.next[next]?.queue ?? '', fault, kind);
  const noteOf = noted.writes[write ?? -1];
  if (noteOf === undefined)
    return 'a write takes the place of the queue to which whenAllSettled publishes. Use another key';
  const [name, key] = noteOf;
  const what = `${name.toUpperCase()} of '${key}'`;
  switch (fault) {
    case 'right':
      return `the user may not run ${what}. Grant it with ACL SETUSER; SECURITY.md, 'Rights in Redis', says what task.onAck needs`;
    case 'stream':
      return `${what}: the key is a stream, and streams are tasks. Use queue.purge, or another key`;
    case 'integer':
      return `${what}: the value is no whole number of 64 bits. Delete it or set it to one, or use another key`;
    case 'overflow':
      return `${what}: the number would not fit in 64 bits`;
    default:
      return `${what} needs a ${TYPES[name]}, and the key is a ${kind}. Use another key, or delete it first: ['del', key]`;
  }
}

function ofTask(queue: string, fault: Refusal['fault'], kind: string): string {
  if (fault === 'right') {
    return `the user may not publish to queue '${queue}'. Grant it with ACL SETUSER: the keys of that queue need the rights of a queue`;
  }
  return `a key of queue '${queue}' is a ${kind}. Delete the key, or give the queue another name`;
}
