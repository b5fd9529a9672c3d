import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { commandDelta } from '../../test/support/command-delta.js';
import { redisCli, type RedisCli } from '../../test/support/redis-cli.js';
import { itWith } from '../../test/support/refused-commands.js';
import { until } from '../../test/support/until.js';
import { RedisConnections } from '../redis/index.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { HandlerRegistry } from './handlers/handler.registry.js';
import { LocalPauses } from './worker/control/local-pauses.js';
import { QueueTally } from './observe/queue.stats.js';
import { QueueService, type SluiceQueueModuleOptions } from './index.js';
import { resolveQueueOptions } from './queue.options.js';
import type { RawQueue } from './queue.raw.js';
import { fieldsOf } from './store/stream-reply.js';

/** A queue service without an app around it, and so without handlers. */
function newQueueService(connections: RedisConnections, options: SluiceQueueModuleOptions = {}): QueueService {
  const resolved = resolveQueueOptions(options);
  return new QueueService(
    connections,
    resolved,
    new HandlerRegistry(resolved, connections),
    new QueueTally(),
    new LocalPauses(),
  );
}

// The tests find sockets by their names.
const itSees = itWith(['client|setname']);
const NAMES_AND_UNBLOCKS = ['client|setname', 'client|id', 'client|unblock'];

let redis: RedisServer;
let admin: Redis;
let cli: RedisCli;
let connections: RedisConnections;
let raw: RawQueue;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  cli = redisCli(redis.port);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await admin.flushall();
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  raw = newQueueService(connections).raw;
});
afterEach(() => connections.onApplicationShutdown());

const entries = async (stream: string): Promise<[id: string, fields: string[]][]> =>
  (await cli('XRANGE', stream, '-', '+')) as [string, string[]][];
const waiting = async (): Promise<number> =>
  [...((await admin.client('LIST')) as string).matchAll(/ name=sluice:queue-raw .* flags=b .* cmd=xreadgroup /g)]
    .length;
const sockets = async (): Promise<number> =>
  [...((await admin.client('LIST')) as string).matchAll(/ name=sluice:queue-raw /g)].length;

describe('beside redis-cli', () => {
  it('publishes entries that redis-cli reads: three fields in their order', async () => {
    const { result: id, calls } = await commandDelta(admin, () => raw.publish('tasks', 'any text', 2));
    expect(calls).toMatchObject({ xadd: 1 });
    const [[entryId, fields]] = (await entries('tasks')) as [[string, string[]]];
    expect(entryId).toBe(id);
    expect(fields).toEqual(['payload', 'any text', 'timestamp', fields[3], 'retry_count', '2']);
    expect(Math.abs(Number(fields[3]) - Date.now() / 1_000)).toBeLessThan(10);
    await raw.publish('tasks', Buffer.from('{}'));
    expect((await entries('tasks'))[1]?.[1].slice(-2)).toEqual(['retry_count', '0']);
  });

  it('consumes what redis-cli published, and redis-cli acknowledges it', async () => {
    await cli('XGROUP', 'CREATE', 'tasks', 'g', '0', 'MKSTREAM');
    expect(await raw.consume('g', 'me', 'tasks')).toEqual([]);
    const add = (payload: string): Promise<unknown> =>
      cli('XADD', 'tasks', '*', 'payload', payload, 'timestamp', '1', 'retry_count', '0', 'more', 'x');
    const ids = [await add('a'), await add('b'), await add('c')];
    const fields = { payload: 'a', timestamp: '1', retry_count: '0', more: 'x' };
    expect(await raw.consume('g', 'me', 'tasks')).toEqual([{ id: ids[0], fields }]);
    expect((await raw.consume('g', 'me', 'tasks', 5)).map(({ id }) => id)).toEqual(ids.slice(1));
    expect(await cli('XACK', 'tasks', 'g', String(ids[0]))).toBe(1);
    expect(await cli('XPENDING', 'tasks', 'g')).toEqual([2, ids[1], ids[2], [['me', '2']]]);
  });

  it('acknowledges what redis-cli consumed, once, and leaves the entry', async () => {
    await cli('XGROUP', 'CREATE', 'tasks', 'g', '0', 'MKSTREAM');
    const id = await raw.publish('tasks', 'a');
    expect(JSON.stringify(await cli('XREADGROUP', 'GROUP', 'g', 'cli', 'STREAMS', 'tasks', '>'))).toContain(id);
    expect(await raw.ack('tasks', 'g', id)).toBe(1);
    expect(await raw.ack('tasks', 'g', id)).toBe(0);
    expect(await entries('tasks')).toHaveLength(1);
  });

  it.each([
    [0, 3, '{tasks}:retries'],
    [1, 3, '{tasks}:retries'],
    [2, 3, '{tasks}:dead'],
    [0, 1, '{tasks}:dead'],
    [0, 0, '{tasks}:dead'],
  ])('retry: %d failures so far of %d go to %s', async (retryCount, maxRetries, target) => {
    const id = await raw.publish('tasks', 'a', retryCount);
    expect(await raw.retry('tasks', id, 'a', retryCount, '{tasks}:retries', '{tasks}:dead', maxRetries)).toBe('OK');
    const [[, fields]] = (await entries(target)) as [[string, string[]]];
    expect(fields).toEqual([
      ...['payload', 'a', 'original_id', id],
      ...['timestamp', fields[5], 'retry_count', String(retryCount + 1)],
    ]);
    expect(Math.abs(Number(fields[5]) - Date.now() / 1_000)).toBeLessThan(10);
    expect(await admin.exists(target === '{tasks}:dead' ? '{tasks}:retries' : '{tasks}:dead')).toBe(0);
  });

  it('retry acknowledges the original in the same step if it is given the group, and adds one copy only', async () => {
    await cli('XGROUP', 'CREATE', 'tasks', 'g', '0', 'MKSTREAM');
    const id = await raw.publish('tasks', 'a');
    const retry = (group?: string): Promise<unknown> =>
      raw.retry('tasks', id, 'a', 0, '{tasks}:retries', '{tasks}:dead', 3, group === undefined ? {} : { group });
    expect(await retry('g')).toBeNull();
    expect(await admin.exists('{tasks}:retries')).toBe(0);
    await raw.consume('g', 'me', 'tasks');
    expect(await retry()).toBe('OK');
    expect(await cli('XPENDING', 'tasks', 'g')).toEqual([1, id, id, [['me', '1']]]);
    const { calls } = await commandDelta(admin, () => retry('g'));
    expect(calls).toMatchObject({ xack: 1, xadd: 1 });
    expect(await retry('g')).toBeNull();
    expect(await entries('{tasks}:retries')).toHaveLength(2);
    expect(await cli('XPENDING', 'tasks', 'g')).toEqual([0, null, null, null]);
  });

  it('retry keeps the original pending when the copy cannot be written', async () => {
    await cli('XGROUP', 'CREATE', 'tasks', 'g', '0', 'MKSTREAM');
    const id = await raw.publish('tasks', 'a');
    await raw.consume('g', 'me', 'tasks');
    await admin.set('{tasks}:retries', 'not a stream');
    const retry = raw.retry('tasks', id, 'a', 0, '{tasks}:retries', '{tasks}:dead', 3, { group: 'g' });
    await expect(retry).rejects.toThrow('WRONGTYPE');
    expect(await raw.ack('tasks', 'g', id)).toBe(1);
  });
});

describe('a consume that waits', () => {
  beforeEach(() => admin.xgroup('CREATE', 'tasks', 'g', '0', 'MKSTREAM'));

  itSees('gets the entry that comes, while the other commands go on', async () => {
    const consumed = raw.consume('g', 'me', 'tasks', 1, 20_000);
    await until(async () => (await waiting()) === 1, { what: 'it waits' });
    const id = await raw.publish('tasks', 'a');
    expect(await consumed).toMatchObject([{ id }]);
  });

  it('answers nothing when nothing came', async () => {
    expect(await raw.consume('g', 'me', 'tasks', 1, 20)).toEqual([]);
  });

  itSees('has a socket of its own only while it waits: many at once each get theirs, and two are kept', async () => {
    const consumed = Array.from({ length: 10 }, (_, n) => raw.consume('g', `me-${n}`, 'tasks', 1, 20_000));
    await until(async () => (await waiting()) === 10, { what: 'all wait' });
    await Promise.all(consumed.map(() => raw.publish('tasks', 'a')));
    const ids = (await Promise.all(consumed)).flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(10);
    await until(async () => (await sockets()) === 2, { what: 'two sockets are left' });
    await raw.consume('g', 'me', 'tasks', 1, 20);
    expect(await sockets()).toBe(2);
  });

  it('rejects with what the server says, and can be tried again', async () => {
    await expect(raw.consume('other', 'me', 'tasks', 1, 1_000)).rejects.toThrow('NOGROUP');
    await expect(raw.consume('other', 'me', 'tasks')).rejects.toThrow('NOGROUP');
    await raw.publish('tasks', 'a');
    expect(await raw.consume('g', 'me', 'tasks', 1, 1_000)).toHaveLength(1);
  });

  itSees('rejects when its socket dies, and the next one has another', async () => {
    const consumed = raw.consume('g', 'me', 'tasks', 1, 20_000);
    await until(async () => (await waiting()) === 1, { what: 'it waits' });
    const [, id] = /^id=(\d+) .* name=sluice:queue-raw /m.exec((await admin.client('LIST')) as string) ?? [];
    const lost = expect(consumed).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE', outcome: 'unknown' });
    await admin.call('CLIENT', 'KILL', 'ID', id!);
    await lost;
    await raw.publish('tasks', 'a');
    expect(await raw.consume('g', 'me', 'tasks', 1, 1_000)).toHaveLength(1);
  });

  itWith(NAMES_AND_UNBLOCKS)('ends when the app stops, and leaves no socket', async () => {
    const consumed = [1, 2].map((n) => raw.consume('g', `me-${n}`, 'tasks', 1, 60_000));
    await until(async () => (await waiting()) === 2, { what: 'both wait' });
    await connections.shutdown.drain();
    expect(await Promise.all(consumed)).toEqual([[], []]);
    expect(await admin.xpending('tasks', 'g')).toEqual([0, null, null, null]);
    await expect(raw.consume('g', 'me', 'tasks', 1, 10)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_CLOSED' });
    await until(async () => (await sockets()) === 0, { what: 'their sockets are gone' });
  });
});

it('refuses what the protocol cannot carry', async () => {
  const bad = (message: string): unknown => expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message });
  await expect(raw.publish('tasks', { a: 1 } as never)).rejects.toThrow(
    bad('queue.raw.publish: payload must be text or a Buffer (raw entries are not encoded), got { a: 1 }'),
  );
  await expect(raw.publish('tasks', 'a', -1)).rejects.toThrow(
    bad('queue.raw.publish: retryCount must be a whole number ≥ 0, got -1'),
  );
  await expect(raw.consume('', 'me', 'tasks')).rejects.toThrow(
    bad("queue.raw.consume: group must be a non-empty string, got ''"),
  );
  await expect(raw.consume('g', 'me', 'tasks', 0)).rejects.toThrow(
    bad('queue.raw.consume: count must be a whole number ≥ 1, got 0'),
  );
  await expect(raw.retry('tasks', '1-1', 'a', 0, 'retries', 'dead', NaN)).rejects.toThrow(
    bad('queue.raw.retry: maxRetries must be a whole number ≥ 0, got NaN'),
  );
  await expect(raw.publish('a{', 'a')).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
});

it('reads an entry by name, whatever the order', () => {
  expect(fieldsOf(['b', '1', 'a', '2', 'b', '3', 'odd'])).toEqual({ b: '3', a: '2', odd: '' });
});

describe('what is too large for the bare protocol', () => {
  it('is refused where it comes in', async () => {
    const { raw } = newQueueService(connections, { maxPayloadBytes: 100 });
    const tooLarge = { code: 'SLUICE_QUEUE_PAYLOAD_TOO_LARGE', bytes: 102, maxBytes: 100 };
    await expect(raw.publish('tasks', 'ä'.repeat(51))).rejects.toMatchObject(tooLarge);
    await expect(raw.publish('tasks', Buffer.alloc(102))).rejects.toMatchObject(tooLarge);
    await expect(raw.retry('tasks', '1-1', 'ä'.repeat(51), 0, 'tasks', 'dead', 3)).rejects.toMatchObject(tooLarge);
    await raw.publish('tasks', 'ä'.repeat(50));
    const long = 'g'.repeat(1_025);
    await expect(raw.consume(long, 'me', 'tasks')).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    await expect(raw.ack('tasks', 'g', long)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });
});
