import { rightsOn, type Right } from '../../redis/index.js';
import type { GateKeys, KeyRateKeys, QueueKeys, RateKeys } from './queue.keys.js';

/**
 * What a user needs to work on these queues: every command and every script that runs without being asked for by a call. Commands
 * are looked at on the first queue only. They are the same for all queues.
 */
export function workRights(queues: readonly QueueKeys[]): Right[] {
  return queues.flatMap((keys, i) => (i === 0 ? onQueue(keys) : onKeysOf(keys)));
}

function onKeysOf({ stream, alive }: QueueKeys): Right[] {
  return [
    ['xreadgroup', stream],
    ['zadd', alive],
  ];
}

function onQueue(keys: QueueKeys): Right[] {
  const stream =
    'exists xack xadd xclaim xdel xgroup|create xgroup|delconsumer xinfo|consumers xinfo|groups xlen xpending';
  return [
    ['time', ''],
    ...rightsOn(keys.stream, `${stream} xrange xreadgroup xtrim`),
    ...rightsOn(keys.delayed, 'exists zadd zrange zrangebyscore zrem zscore'),
    ...rightsOn(keys.bodies, 'hdel hget hset'),
    ...rightsOn(keys.index, 'type unlink zadd zmscore zrem zremrangebyscore zscore'),
    ...rightsOn(keys.dead, 'xadd xlen xrange xtrim'),
    ...rightsOn(keys.alive, 'zadd zcount zrange zrem zremrangebyscore zrevrange zscore'),
    ...rightsOn(keys.swept, 'hget hset pexpire'),
    ...rightsOn(keys.cancelled, 'exists pexpire zrange zrem zscore'),
    ...rightsOn(keys.uses, 'exists hgetall'),
  ];
}

/** What a worker with limits of the fleet needs as well. */
export function limitedRights({ stream }: QueueKeys, { rate, grace }: RateKeys): Right[] {
  return [['xread', stream], ...rightsOn(rate, 'del get set'), ...rightsOn(grace, 'get set')];
}

/** What a worker on an ordered queue needs as well. */
export function orderedRights({ uses }: QueueKeys, { gates, line }: GateKeys): Right[] {
  return [
    ...rightsOn(uses, 'hdel hget hset'),
    ...rightsOn(gates, 'hdel hget hmget hscan hset'),
    ...rightsOn(line, 'zadd zcard zrange zrem'),
  ];
}

/** What a worker with a rate of each key needs as well. */
export function keyRateRights({ uses }: QueueKeys, { rates, rateEnds, rateLine, rateDue }: KeyRateKeys): Right[] {
  return [
    ...rightsOn(uses, 'hget hset'),
    ...rightsOn(rates, 'hdel hmget hset pexpire type'),
    ...rightsOn(rateEnds, 'pexpire zadd zrangebyscore zrem zrevrange'),
    ...rightsOn(rateLine, 'zadd zrange zrem'),
    ...rightsOn(rateDue, 'zadd zmscore zrangebyscore zrem zscore'),
  ];
}

/**
 * What calls of `QueueService` and of its parts need beyond {@link workRights}. The call that lacks one rejects. Workers on named tasks
 * need `sadd` as well, and workers with limits of the fleet {@link limitedRights}.
 */
export const QUEUE_CALLS: readonly string[] = [
  ...['del', 'get', 'hmget', 'hscan', 'sadd', 'set', 'smembers'],
  ...['xgroup|destroy', 'xread', 'xrevrange', 'zcard', 'zrangebyscore', 'zrank'],
];

/** What is used if the user has the right. Without it, the queue works more slowly: see docs/guide/connection.md. */
export const QUEUE_OPTIONAL: readonly string[] = [
  ...['client|id', 'client|info', 'client|kill', 'client|unblock', 'memory|usage', 'unsubscribe'],
];
