/** Compile-only: what the types of `task.next` and `task.onAck` accept and refuse. */
import { defineQueue, payload, type AckWrite, type Task } from '../../libs/queue/index.js';

interface Invoice {
  readonly order: string;
}
const Invoices = defineQueue<Invoice>('{orders}.invoices');
const Files = defineQueue('{orders}', { tasks: { import: payload<{ readonly url: string }>() } });

export function writes(task: Task, key: string): void {
  task.onAck([
    ['set', key, 'text'],
    ['set', key, 1.5],
    ['del', key],
    ['unlink', key],
    ['incrby', key, 1],
    ['decrby', key, 1],
    ['hset', key, 'field', 1],
    ['hdel', key, 'field', 'another'],
    ['hincrby', key, 'field', -1],
    ['sadd', key, 'member', 7],
    ['srem', key, 'member'],
    ['zadd', key, 1.5, 'member'],
    ['zrem', key, 'member', 'another'],
    ['rpush', key, 'value', 'another'],
    ['expire', key, 60],
  ]);
  const list: AckWrite[] = [];
  list.push(['del', key]);
  task.onAck(list);
  // @ts-expect-error -- reads are no writes
  task.onAck([['get', key]]);
  // @ts-expect-error -- commands are in lower case
  task.onAck([['SET', key, 'value']]);
  // @ts-expect-error -- a list of writes
  task.onAck(['set', key, 'value']);
  // @ts-expect-error -- a value is a text or a number
  task.onAck([['set', key, { a: 1 }]]);
  // @ts-expect-error -- a value is missing
  task.onAck([['hset', key, 'field']]);
  // @ts-expect-error -- options of SET are no part of it
  task.onAck([['set', key, 'value', 'EX', 60]]);
  // @ts-expect-error -- one key
  task.onAck([['del', key, key]]);
  // @ts-expect-error -- a number
  task.onAck([['incrby', key, '1']]);
  // @ts-expect-error -- at least one member
  task.onAck([['sadd', key]]);
  // @ts-expect-error -- the score comes first
  task.onAck([['zadd', key, 'member', 1]]);
}

export function next(task: Task): void {
  task.next(Invoices, { order: '7' });
  task.next(Invoices, { order: '7' }, { delayMs: 1_000, maxAttempts: 2, backoff: [1, 2], trace: { traceparent: '' } });
  task.next('{orders}.mails', 7, { runAt: new Date() });
  task.next(Files.tasks.import, { url: '' });
  // @ts-expect-error -- another payload
  task.next(Invoices, { order: 7 });
  // @ts-expect-error -- a named task is meant
  task.next(Files, { url: '' });
  // @ts-expect-error -- nothing waits for room
  task.next(Invoices, { order: '7' }, { signal: task.signal });
  // @ts-expect-error -- all that follows has one level
  task.next(Invoices, { order: '7' }, { priority: 'low' });
}

export function listed({ noted }: Task): [queue: string, payload: unknown, delayMs: number | undefined, key: string] {
  const [next] = noted.next;
  const [write] = noted.writes;
  return [next?.queue ?? '', next?.payload, next?.options.delayMs, write?.[1] ?? ''];
}
