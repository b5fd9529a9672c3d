import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { commandDelta } from '../../test/support/command-delta.js';
import { RedisConnections } from '../redis/index.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { HandlerRegistry } from './handlers/handler.registry.js';
import { LocalPauses } from './worker/control/local-pauses.js';
import { QueueTally } from './observe/queue.stats.js';
import { QueueService, defineQueue, type PublishUnconfirmedError, type SluiceQueueModuleOptions } from './index.js';
import { resolveQueueOptions } from './queue.options.js';

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

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
let queue: QueueService;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  connections = await new RedisConnections({ namespace: 'shop', redis: { url: redis.url } }).open();
  queue = newQueueService(connections);
});
afterAll(async () => {
  admin.disconnect();
  await connections.onApplicationShutdown();
  await redis.stop();
});
beforeEach(() => admin.flushall());

describe('publish', () => {
  it('adds one entry with four fields in order, and resolves with its id', async () => {
    const { result: id, calls } = await commandDelta(admin, () =>
      queue.publish(defineQueue<object>('tasks'), { a: 1 }),
    );
    expect(calls).toEqual({ xadd: 1 });
    const [[entryId, fields]] = (await admin.xrange('shop:tasks', '-', '+')) as [[string, string[]]];
    expect(entryId).toBe(id);
    expect(fields).toEqual(['payload', '{"a":1}', 'timestamp', fields[3], 'retry_count', '0', 'meta', '']);
    expect(Math.abs(Number(fields[3]) - Date.now() / 1_000)).toBeLessThan(10);
  });

  it.each<[string, unknown, string]>([
    ['no name', undefined, 'SLUICE_BAD_NAME'],
    ['null', null, 'SLUICE_BAD_NAME'],
    ['an empty name', '', 'SLUICE_BAD_NAME'],
    ['a stray brace', 'a{b', 'SLUICE_BAD_NAME'],
    ['the reserved marker', 'a:~dead', 'SLUICE_BAD_NAME'],
    ['a definition without a name', { name: 1 }, 'SLUICE_BAD_NAME'],
  ])('rejects %s', async (_what, name, code) => {
    await expect(queue.publish(name as string, 1)).rejects.toMatchObject({ code });
    await expect(queue.publishMany(name as string, [1])).rejects.toMatchObject({ code });
  });

  it('rejects what JSON would change, and sends nothing', async () => {
    await expect(queue.publish('tasks', { at: new Date() })).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_UNSERIALIZABLE',
      path: 'payload.at',
    });
    await expect(queue.publishMany('tasks', [1, { a: NaN }])).rejects.toMatchObject({ path: 'payloads[1].a' });
    expect(await admin.exists('shop:tasks')).toBe(0);
  });

  it('says that the outcome is unknown when the socket dies before the reply', async () => {
    redis.pause();
    const published = queue.publish('tasks', 1);
    const many = queue.publishMany('tasks', [2, 3]);
    connections.get().commands.reset();
    await expect(published).rejects.toMatchObject({
      code: 'SLUICE_PUBLISH_UNCONFIRMED',
      outcomes: [{ state: 'unknown' }],
      cause: expect.objectContaining({ code: 'SLUICE_REDIS_UNAVAILABLE' }),
    });
    await expect(many).rejects.toMatchObject({
      code: 'SLUICE_PUBLISH_UNCONFIRMED',
      outcomes: [{ state: 'unknown' }, { state: 'unknown' }],
    });
    redis.resume();
    await connections.get().commands.waitUntilUp(5_000);
  });

  it('refuses a connection that does not exist', () => {
    expect(() => newQueueService(connections, { connection: 'nowhere' })).toThrow(
      expect.objectContaining({ code: 'SLUICE_UNKNOWN_CONNECTION' }),
    );
  });
});

describe('publishMany', () => {
  it('keeps the order', async () => {
    const payloads = Array.from({ length: 1_000 }, (_, n) => n);
    const { result: ids, calls } = await commandDelta(admin, () => queue.publishMany('tasks', payloads));
    expect(calls).toEqual({ xadd: 1_000 });
    const entries = await admin.xrange('shop:tasks', '-', '+');
    expect(entries.map(([id, fields]) => [id, Number(fields[1])])).toEqual(ids.map((id, n) => [id, n]));
    expect(await queue.publishMany('tasks', [])).toEqual([]);
  });

  it('sends in chunks, and after a failure nothing more: each payload knows what became of it', async () => {
    const payloads = Array.from({ length: 20_000 }, (_, n) => n);
    let answered = 0;
    const { commands } = connections.get();
    const sending = queue.publishMany('tasks', payloads);
    while (answered < 1_000) {
      answered = await commands.send<number>('xlen', ['shop:tasks']);
    }
    redis.pause();
    commands.reset();
    redis.resume();
    const error = (await sending.catch((thrown: unknown) => thrown)) as PublishUnconfirmedError;
    await commands.waitUntilUp(5_000);
    expect(error).toMatchObject({ code: 'SLUICE_PUBLISH_UNCONFIRMED', queue: 'tasks' });
    const states = error.outcomes.map(({ state }) => state);
    expect(states).toHaveLength(20_000);
    expect(states.slice(0, 1_000)).toEqual(new Array(1_000).fill('published'));
    expect(states.at(-1)).toBe('not-sent');
    const ids = (await admin.xrange('shop:tasks', '-', '+')).map(([id]) => id);
    const published = new Set(error.outcomes.flatMap((each) => (each.state === 'published' ? [each.id] : [])));
    expect(ids.filter((id) => published.has(id))).toHaveLength(published.size);
    expect(ids.length).toBeLessThanOrEqual(states.filter((state) => state !== 'not-sent').length);
  });

  it('refuses a payload that is too large, and sends none', async () => {
    const small = newQueueService(connections, { maxPayloadBytes: 10 });
    const refused = { code: 'SLUICE_QUEUE_PAYLOAD_TOO_LARGE', bytes: 12, maxBytes: 10 };
    await expect(small.publish('tasks', 'ééééé')).rejects.toMatchObject({ ...refused, path: 'payload' });
    await expect(small.publishMany('tasks', [1, 'ééééé'])).rejects.toMatchObject({ ...refused, path: 'payloads[1]' });
    expect(await admin.exists('shop:tasks')).toBe(0);
    await small.publish('tasks', 'éééé');
  });

  it('answers once everything is answered', async () => {
    await admin.set('shop:tasks', 'not a stream');
    await expect(queue.publishMany('tasks', [1, 2])).rejects.toThrow('WRONGTYPE');
  });
});
