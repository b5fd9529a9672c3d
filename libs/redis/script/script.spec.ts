import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { commandDelta } from '../../../test/support/command-delta.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from '../connection/connections.js';
import { FRAME, unframe } from '../inbox/frame.js';
import type { Link } from '../connection/link.js';
import { lua } from './fragment.js';
import { defineScript } from './script.js';

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
let link: Link;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  link = connections.get().commands;
});
afterAll(async () => {
  await connections.onApplicationShutdown();
  admin.disconnect();
  await redis.stop();
});

const append = defineScript({
  name: 'append',
  keys: ['list', 'counter'],
  args: { value: 'bytes', by: 'number' },
  lua: lua`
redis.call('RPUSH', list, value)
for i = rest + 1, #ARGV do redis.call('RPUSH', list, ARGV[i]) end
return {redis.call('INCRBY', counter, by), redis.call('LRANGE', list, 0, -1), type(by)}`,
  buffers: true,
  decode: (reply) => {
    const [count, items, type] = reply as [number, Buffer[], Buffer];
    return { count, items, type: type.toString() };
  },
});

describe('defineScript', () => {
  it('names keys and arguments, and carries bytes both ways', async () => {
    const keys = { list: '{script}:list', counter: '{script}:counter' };
    const bytes = Buffer.from([0, 255, 10]);
    const result = await append.run(link, { keys, args: { value: bytes, by: 2 }, rest: ['a', Buffer.from('b')] });
    expect(result).toEqual({ count: 2, items: [bytes, Buffer.from('a'), Buffer.from('b')], type: 'number' });
  });

  it('is refused by the compiler with a wrong key or argument', () => {
    // @ts-expect-error: 'counter' is missing
    const missing = () => append.run(link, { keys: { list: 'a' }, args: { value: '', by: 1 } });
    // @ts-expect-error: a number is wanted
    const wrong = () => append.run(link, { keys: { list: 'a', counter: 'b' }, args: { value: '', by: '1' } });
    expect([missing, wrong]).toHaveLength(2);
  });

  it.each([NaN, Infinity, undefined as never])('sends no %p', async (by) => {
    const sent = append.run(link, { keys: { list: 'a', counter: 'b' }, args: { value: '', by } });
    await expect(sent).rejects.toThrow('script append: argument by is');
  });

  it('survives a server that forgot it: the text follows once, then the hash serves again', async () => {
    const keys = { list: '{flush}:list', counter: '{flush}:counter' };
    await append.run(link, { keys, args: { value: 'a', by: 1 } });
    await admin.script('FLUSH');
    const { calls } = await commandDelta(admin, () => append.run(link, { keys, args: { value: 'b', by: 1 } }));
    expect(calls).toMatchObject({ evalsha: 1, eval: 1, incrby: 1 });
    const again = await commandDelta(admin, () => append.run(link, { keys, args: { value: 'c', by: 1 } }));
    expect(again.calls).toMatchObject({ evalsha: 1, incrby: 1 });
    expect(again.calls['eval']).toBeUndefined();
    expect(again.result.items.map(String)).toEqual(['a', 'b', 'c']);
  });

  it('pipelines the calls of one turn, each healing itself', async () => {
    await admin.script('FLUSH');
    const keys = { list: '{pipe}:list', counter: '{pipe}:counter' };
    const calls = Array.from({ length: 50 }, (_, i) => append.run(link, { keys, args: { value: `${i}`, by: 1 } }));
    const counts = (await Promise.all(calls)).map(({ count }) => count);
    expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  it("tells the script's own error, and which script", async () => {
    const failing = defineScript({
      name: 'failing',
      keys: [],
      args: {},
      lua: lua`return redis.error_reply('OOPS asked for')`,
      decode: () => undefined,
    });
    await expect(failing.run(link, { keys: {}, args: {} })).rejects.toMatchObject({
      code: 'SLUICE_REDIS_REFUSED',
      message: "Redis connection 'default' (commands) refused script failing: OOPS asked for",
      reply: 'OOPS asked for',
    });
  });

  it('is sent whole to a server that does not know it, whatever a minifier made of the class of that error', async () => {
    class a extends Error {
      override get name(): string {
        return this.constructor.name;
      }
    }
    const send = jest.spyOn(link.client, 'sendCommand').mockImplementationOnce((command) => {
      command.reject(new a('NOSCRIPT No matching script. Please use EVAL.'));
      return command.promise;
    });
    try {
      const answering = defineScript({ name: 'answering', keys: [], args: {}, lua: lua`return 7`, decode: Number });
      expect(await answering.run(link, { keys: {}, args: {} })).toBe(7);
      expect(send.mock.calls.map(([command]) => command.name)).toEqual(['evalsha', 'eval']);
    } finally {
      send.mockRestore();
    }
  });

  it('has its keys checked that it computes in a suite in cluster mode, and is unchanged for users', () => {
    const { SLUICE_TEST_COMPUTED_KEYS: set } = process.env;
    const textWith = (value: string | undefined): string => {
      if (value === undefined) delete process.env['SLUICE_TEST_COMPUTED_KEYS'];
      else process.env['SLUICE_TEST_COMPUTED_KEYS'] = value;
      return defineScript({ name: 'x', keys: [], args: {}, lua: lua`return 1`, decode: Number }).lua;
    };
    try {
      const [usual, checked] = [textWith(undefined), textWith('1')];
      expect(usual).toBe('-- x\nlocal rest = 0\nreturn 1');
      expect(checked).toBe(`#!lua\n${usual}`);
    } finally {
      textWith(set);
    }
  });

  it('writes the frames that the inbox reads', async () => {
    const framing = defineScript({
      name: 'framing',
      keys: [],
      args: { part: 'text', n: 'number' },
      lua: lua`${FRAME}
return frame('kind', part, '', n, 12345678901234)`,
      buffers: true,
      decode: (reply) => unframe(reply as Buffer),
    });
    const part = '\0:ü\r\n';
    const parts = await framing.run(link, { keys: {}, args: { part, n: 7 } });
    expect(parts).toEqual(['kind', part, '', '7', '12345678901234']);
  });
});
