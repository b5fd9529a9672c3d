import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { until } from '../../../test/support/until.js';
import { startRedis } from '../../testing/index.js';
import { RedisConnections } from '../connection/connections.js';
import { ConnectionHealth } from './connection-health.js';
import { REDIS_CHANNELS } from './redis.channels.js';

const told: unknown[] = [];
const listen = (message: unknown, name: string | symbol): void => {
  told.push([String(name), message]);
};
beforeEach(() => {
  for (const name of Object.values(REDIS_CHANNELS)) subscribe(name, listen);
});
afterEach(() => {
  for (const name of Object.values(REDIS_CHANNELS)) unsubscribe(name, listen);
  told.length = 0;
});

describe('ConnectionHealth', () => {
  function health() {
    const clock = new ManualClock();
    const lines: string[] = [];
    const write = (message: string): void => {
      lines.push(message);
    };
    const health = new ConnectionHealth({ name: 'main', label: "'main' (host:1)", clock, warn: write, note: write });
    return { clock, lines, health };
  }

  it('tells once that the connection is lost, and once that it is back', async () => {
    const { clock, lines, health: of } = health();
    of.lost('read ECONNRESET');
    of.lost('connect ECONNREFUSED');
    expect(of.stats).toEqual({ up: false, lost: 1, refused: 0 });
    await clock.pass(20_000);
    of.restored();
    of.restored();
    expect(of.stats).toEqual({ up: true, lost: 1, refused: 0 });
    expect(lines).toEqual([
      "Redis connection 'main' (host:1) is down: read ECONNRESET. It is being connected again",
      "Redis connection 'main' (host:1) is back after 20.0 s",
    ]);
    expect(told).toEqual([
      ['sluice:redis:lost', { connection: 'main', reason: 'read ECONNRESET' }],
      ['sluice:redis:restored', { connection: 'main', downMs: 20_000 }],
    ]);
  });

  it('tells once that the server refuses, and once that it has refused nothing for a while', async () => {
    const { clock, lines, health: of } = health();
    of.refused({ refusal: 'OOM', reply: 'OOM no memory', command: 'set' });
    await clock.pass(4_000);
    of.refused({ refusal: 'OOM', reply: 'OOM no memory', command: 'set' });
    await clock.pass(4_900);
    expect(lines).toEqual(["Redis connection 'main' (host:1) refuses set for now: OOM no memory"]);
    await clock.pass(100);
    expect(lines[1]).toBe("Redis connection 'main' (host:1) has stopped refusing: 2 commands in 4.0 s");
    expect(told).toEqual([
      ['sluice:redis:refusing', { connection: 'main', refusal: 'OOM', reply: 'OOM no memory', command: 'set' }],
      ['sluice:redis:accepting', { connection: 'main', refused: 2, refusedMs: 4_000 }],
    ]);
    expect(clock.timers).toBe(0);
    of.refused({ refusal: 'BUSY', reply: 'BUSY a script', command: 'get' });
    expect(lines).toHaveLength(3);
    expect(of.stats.refused).toBe(3);
  });

  it('tells nothing of a connection that its app has closed', async () => {
    const { clock, lines, health: of } = health();
    of.refused({ refusal: 'OOM', reply: 'OOM no memory', command: 'set' });
    of.close();
    of.lost('closed');
    of.refused({ refusal: 'OOM', reply: 'OOM no memory', command: 'set' });
    await clock.pass(60_000);
    expect(lines).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });
});

describe('an outage', () => {
  it('is two lines of the log, however many sockets it costs', async () => {
    const redis = await startRedis();
    const app = new RedisConnections({ redis: { url: redis.url.replace('//', '//:secret@') } });
    const warn = jest.spyOn(app.logger, 'warn').mockImplementation(() => {});
    const log = jest.spyOn(app.logger, 'log').mockImplementation(() => {});
    try {
      await app.open();
      await redis.kill();
      await until(() => !app.get().stats.up, { what: 'it is down' });
      await redis.restart();
      await until(() => app.get().stats.up, { what: 'it is back' });
      const lines = [...warn.mock.calls, ...log.mock.calls].map(([line]) => String(line));
      expect(lines).toEqual([
        expect.stringMatching(/^Redis connection 'default' \(redis:\/\/\*\*\*@127\.0\.0\.1:\d+\) is down: /),
        expect.stringMatching(/is back after \d+\.\d s$/),
      ]);
      expect(told).toEqual([
        ['sluice:redis:lost', expect.objectContaining({ connection: 'default' })],
        ['sluice:redis:restored', expect.objectContaining({ connection: 'default' })],
      ]);
    } finally {
      await app.onApplicationShutdown();
      await redis.stop();
    }
  });

  it('that the app begins with is told, where the app boots without Redis', async () => {
    const url = 'redis://127.0.0.1:1';
    const app = new RedisConnections({ redis: { url, required: false, bootTimeoutMs: 2_000 } });
    const warn = jest.spyOn(app.logger, 'warn').mockImplementation(() => {});
    try {
      await app.open();
      await until(() => !app.get().stats.up, { what: 'it is told' });
      expect(warn.mock.calls.flat()).toEqual([expect.stringContaining('ECONNREFUSED 127.0.0.1:1')]);
    } finally {
      await app.onApplicationShutdown();
    }
  });
});
