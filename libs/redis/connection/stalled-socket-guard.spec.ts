import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '../../../test/support/until.js';
import { FaultProxy, startRedis, type RedisServer } from '../../testing/index.js';
import { RedisConnections } from './connections.js';
import type { Link } from './link.js';

const COMMAND_TIMEOUT_MS = 100;
const SILENCE_MS = 2 * COMMAND_TIMEOUT_MS;

let redis: RedisServer;
let proxy: FaultProxy;
let connections: RedisConnections;
let commands: Link;
beforeEach(async () => {
  redis = await startRedis();
  proxy = await FaultProxy.to(redis.port);
  const options = { url: proxy.url, commandTimeoutMs: COMMAND_TIMEOUT_MS };
  connections = await new RedisConnections({ redis: options }).open();
  commands = connections.get().commands;
});
afterEach(async () => {
  await connections.onApplicationShutdown();
  await proxy.close();
  await redis.stop();
});

const unanswered = { code: 'SLUICE_REDIS_UNAVAILABLE', outcome: 'unknown' };

describe('a socket that went half-open', () => {
  it('is given up for another, though its commands have failed long before', async () => {
    const downs: number[] = [];
    commands.onDown(() => downs.push(performance.now()));
    proxy.freeze();
    const from = performance.now();
    await expect(commands.send('ping', [], { deadlineMs: 20 })).rejects.toMatchObject(unanswered);
    await until(() => downs.length === 1, { what: 'it is given up' });
    expect(downs[0]! - from).toBeGreaterThan(SILENCE_MS * 0.9);
    expect(commands.lastError?.message).toContain(`silent for ${SILENCE_MS} ms`);
    await until(() => commands.up, { what: 'there is another' });
    expect(await commands.send('ping')).toBe('PONG');
  });

  it('is given up as well if it had answered a moment before, however long its commands may wait', async () => {
    expect(await commands.send('ping')).toBe('PONG');
    proxy.freeze();
    const from = performance.now();
    await expect(commands.send('ping', [], { deadlineMs: 20_000 })).rejects.toMatchObject(unanswered);
    expect(performance.now() - from).toBeLessThan(10 * SILENCE_MS);
  });

  it('is kept while nothing is due, and while answers come, however late', async () => {
    const socket = commands.client.stream;
    await commands.send('ping');
    const from = performance.now();
    await until(() => performance.now() - from > 2 * SILENCE_MS, { what: 'it was idle for long' });
    // Each answer comes after its deadline, and before the socket counts as silent.
    for (let i = 0; i < 3; i++) {
      redis.pause();
      const late = new Promise((resolve) => {
        commands.send('ping', [], { late: resolve }).catch(() => {
          redis.resume();
        });
      });
      expect(await late).toBe('PONG');
    }
    expect(commands.client.stream).toBe(socket);
    expect(commands.up).toBe(true);
  });
});
