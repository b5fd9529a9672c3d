import { describe, expect, it } from '@jest/globals';
import { Keyspace } from '../../redis/index.js';
import type { AckWrite, Task } from '../index.js';
import { Delivery } from '../task/delivery.js';

const delivered = (queue = 'orders'): Delivery => {
  const fields = ['payload', '7', 'timestamp', '1', 'retry_count', '0', 'meta', ''];
  const noting = { queue, keyspace: new Keyspace('shop'), maxPayloadBytes: 1_000 };
  return new Delivery(queue, { id: '1-0', fields, deliveries: 1 }, 0, noting);
};
const taskOf = (delivery: Delivery): Task => delivery.task!;
const KEY = '{shop:orders}:k';

describe('writes that a task notes', () => {
  it.each<[write: AckWrite, words: string[]]>([
    [
      ['set', KEY, 'v'],
      ['set', KEY, 'v'],
    ],
    [
      ['set', KEY, 0.5],
      ['set', KEY, '0.5'],
    ],
    [
      ['set', KEY, ''],
      ['set', KEY, ''],
    ],
    [
      ['del', KEY],
      ['del', KEY],
    ],
    [
      ['unlink', KEY],
      ['unlink', KEY],
    ],
    [
      ['incrby', KEY, -3],
      ['incrby', KEY, '-3'],
    ],
    [
      ['decrby', KEY, 3],
      ['decrby', KEY, '3'],
    ],
    [
      ['hset', KEY, 'f', 1],
      ['hset', KEY, 'f', '1'],
    ],
    [
      ['hdel', KEY, 'f', 'g'],
      ['hdel', KEY, 'f', 'g'],
    ],
    [
      ['hincrby', KEY, 'f', 1],
      ['hincrby', KEY, 'f', '1'],
    ],
    [
      ['sadd', KEY, 'a', 2],
      ['sadd', KEY, 'a', '2'],
    ],
    [
      ['srem', KEY, 'a'],
      ['srem', KEY, 'a'],
    ],
    [
      ['zadd', KEY, 1.5, 'm'],
      ['zadd', KEY, '1.5', 'm'],
    ],
    [
      ['zrem', KEY, 'm'],
      ['zrem', KEY, 'm'],
    ],
    [
      ['rpush', KEY, 'a', 'b'],
      ['rpush', KEY, 'a', 'b'],
    ],
    [
      ['expire', KEY, 60],
      ['expire', KEY, '60'],
    ],
  ])('%j are sent as their words', (each, words) => {
    const delivery = delivered();
    taskOf(delivery).onAck([each]);
    expect(delivery.noted?.words).toEqual([words]);
  });

  const LIST =
    "'set', 'del', 'unlink', 'incrby', 'decrby', 'hset', 'hdel', 'hincrby', 'sadd', 'srem', 'zadd', 'zrem', 'rpush', 'expire'";
  it.each<[what: string, writes: unknown, message: string]>([
    ['no list', { set: 1 }, "task.onAck: writes must be a list such as [['set', key, value]]"],
    ['a write without brackets', ['set', KEY, 1], "task.onAck: writes[0] must be a list such as ['set', key, value]"],
    ['another command', [['get', KEY]], `task.onAck: writes[0][0] must be one of ${LIST}, in lower case`],
    ['capitals', [['SET', KEY, 1]], 'in lower case'],
    ['what every object has', [['toString', KEY]], 'in lower case'],
    ['no command', [[]], 'in lower case'],
    ['too few words', [['hset', KEY, 'f']], "writes[0] must be ['hset', key, field, value]"],
    ['too many words', [['set', KEY, 'v', 'EX']], "writes[0] must be ['set', key, value]"],
    ['a second key', [['del', KEY, KEY]], "writes[0] must be ['del', key]"],
    ['no member', [['sadd', KEY]], "writes[0] must be ['sadd', key, member, …]"],
    [
      'an object',
      [['set', KEY, { a: 1 }]],
      'writes[0][2] must be a string or a finite number: JSON.stringify anything else',
    ],
    ['NaN', [['rpush', KEY, 'a', NaN]], 'writes[0][3] must be a string or a finite number'],
    ['a lone surrogate', [['set', KEY, '\ud800']], 'lone surrogates'],
    ['half a count', [['incrby', KEY, 0.5]], 'writes[0][2] must be a whole number'],
    ['a count as a text', [['hincrby', KEY, 'f', '1']], 'writes[0][3] must be a whole number'],
    ['a count beyond what is exact', [['incrby', KEY, 2 ** 53]], 'writes[0][2] must be a whole number'],
    ['an infinite score', [['zadd', KEY, Infinity, 'm']], 'writes[0][2] must be a finite number'],
    ['no time to live', [['expire', KEY, 0]], 'seconds from 1 to 3155760000'],
    ['milliseconds that are no seconds', [['expire', KEY, 4e12]], 'seconds from 1 to 3155760000'],
    ['the second of two', [['del', KEY], ['del']], "writes[1] must be ['del', key]"],
    ['a long write', [['sadd', KEY, ...new Array<number>(1_001).fill(1)]], 'at most 1000 items long'],
    ['no key', [['set', 7, 1]], 'key name must be a non-empty string'],
    ['a key of Sluice', [['del', '{shop:orders}:~dead']], "free of the reserved marker ':~'"],
    ['a lock', [['del', 'shop:lock:{shop:orders}']], "such keys are Sluice's own"],
    [
      'the queue',
      [['del', 'shop:orders']],
      "'shop:orders' is the queue itself. Use another key, such as '{shop:orders}:shop:orders'",
    ],
    [
      'another slot',
      [['set', 'stock:{7}', 1]],
      "task.onAck: the key 'stock:{7}' and the queue 'orders' are in different Cluster slots, so one step cannot change both. Give the key a name with the hash tag of the queue: '{shop:orders}:stock:7'",
    ],
  ])('are refused when they are noted, with the fix: %s', (_, writes, message) => {
    const delivery = delivered();
    expect(() => {
      taskOf(delivery).onAck(writes as AckWrite[]);
    }).toThrow(message);
    expect(delivery.noted).toBeUndefined();
  });

  it('belong beside the name of a queue that has a hash tag', () => {
    const task = taskOf(delivered('{mails}.sent'));
    task.onAck([['del', 'shop:{mails}:k']]);
    expect(() => {
      task.onAck([['del', 'k']]);
    }).toThrow("'shop:{mails}:k'");
  });
});
