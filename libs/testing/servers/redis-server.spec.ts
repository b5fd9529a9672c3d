import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { alive } from '../../../test/support/alive.js';
import { forkApp, type ForkedApp } from '../../../test/support/fork-app.js';
import { until } from '../../../test/support/until.js';
import { startRedis, startRedisOn, type RedisServer } from './redis-server.js';

async function ask<T>(redis: RedisServer, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(redis.url, { retryStrategy: () => null });
  client.on('error', () => {});
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

describe('startRedis', () => {
  let redis: RedisServer;
  afterEach(() => redis.stop());

  it('starts a server of its own that persists nothing', async () => {
    redis = await startRedis();
    const info = await ask(redis, (client) => client.info());
    expect(info).toContain(`process_id:${redis.pid}`);
    expect(info).toContain(`tcp_port:${redis.port}`);
    expect(await ask(redis, (client) => client.config('GET', 'save'))).toEqual(['save', '']);
    expect(info).toContain('aof_enabled:0');
  });

  it('draws another port if one is taken', async () => {
    redis = await startRedis();
    const ports = [redis.port, redis.port, redis.port + 1];
    const second = await startRedisOn(() => ports.shift() ?? 0);
    expect(ports).toEqual([]);
    expect(second.port).toBe(redis.port + 1);
    expect(await ask(second, (client) => client.info('server'))).toContain(`process_id:${second.pid}`);
    await second.stop();
  });

  it('starts many at once, each on its own port', async () => {
    const servers = await Promise.all(Array.from({ length: 5 }, () => startRedis()));
    redis = servers[0]!;
    expect(new Set(servers.map((server) => server.port)).size).toBe(5);
    await Promise.all(servers.map((server) => server.stop()));
  });

  it('is gone after stop, with its files', async () => {
    redis = await startRedis();
    const [, dir] = (await ask(redis, (client) => client.config('GET', 'dir'))) as [string, string];
    expect(existsSync(dir)).toBe(true);
    await redis.stop();
    expect(alive(redis.pid)).toBe(false);
    expect(existsSync(dir)).toBe(false);
    await redis.stop();
  });

  it('takes arguments, and restarts on its port with what it persisted', async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    await ask(redis, (client) => client.set('kept', 'yes'));
    const { pid } = redis;
    await redis.kill();
    expect(alive(pid)).toBe(false);
    await redis.restart();
    expect(redis.pid).not.toBe(pid);
    expect(await ask(redis, (client) => client.get('kept'))).toBe('yes');
  });

  it('forgets over a restart what it was not asked to persist', async () => {
    redis = await startRedis();
    await ask(redis, (client) => client.set('lost', 'yes'));
    await redis.restart();
    expect(await ask(redis, (client) => client.get('lost'))).toBeNull();
  });

  it('freezes and thaws, and stops while it is frozen', async () => {
    redis = await startRedis();
    redis.pause();
    let answered = false;
    const ping = ask(redis, (client) => client.ping()).then(() => (answered = true));
    await expect(until(() => answered, { what: 'it answers', deadlineMs: 100 })).rejects.toThrow('it answers');
    redis.resume();
    await ping;
    redis.pause();
    await redis.stop();
    expect(alive(redis.pid)).toBe(false);
    // It ended in order and was not killed for being silent.
    expect(redis.stdout).toContain('Received SIGTERM');
  });

  it('is out of reach of a Ctrl-C, which goes to the process group of the terminal', async () => {
    redis = await startRedis();
    const groups = execFileSync('ps', ['-o', 'pgid=', '-p', `${redis.pid},${process.pid}`], { encoding: 'utf8' });
    expect(new Set(groups.trim().split(/\s+/)).size).toBe(2);
  });

  it('says what to do without a binary, and what the server said about a bad argument', async () => {
    redis = await startRedis();
    const before = process.env['SLUICE_REDIS_SERVER'];
    process.env['SLUICE_REDIS_SERVER'] = '/nowhere/redis-server';
    try {
      await expect(startRedis()).rejects.toMatchObject({
        code: 'SLUICE_NO_REDIS_SERVER',
        message: expect.stringContaining('set SLUICE_REDIS_SERVER to its path'),
      });
    } finally {
      if (before === undefined) delete process.env['SLUICE_REDIS_SERVER'];
      else process.env['SLUICE_REDIS_SERVER'] = before;
    }
    await expect(startRedis({ args: ['--no-such-thing', '1'] })).rejects.toThrow(
      /ended while it started.*no-such-thing/s,
    );
  });
});

describe('a private server and its parent', () => {
  let parent: ForkedApp;
  let server: { pid: number; dir: string };
  beforeEach(async () => {
    parent = await forkApp('harness-probe');
    server = await parent.call('startRedis');
    expect(alive(server.pid)).toBe(true);
  });
  afterEach(async () => {
    await parent.kill();
    if (alive(server.pid)) process.kill(server.pid, 'SIGKILL');
  });

  async function serverIsGone(): Promise<void> {
    await until(() => !alive(server.pid), { what: 'the server is gone' });
    await until(() => !existsSync(server.dir), { what: 'its files are gone' });
  }

  it.each(['SIGKILL', 'SIGINT', 'SIGTERM', 'SIGHUP'] as const)('dies with a parent that got %s', async (signal) => {
    process.kill(parent.pid, signal);
    await until(() => !alive(parent.pid), { what: 'the parent is gone' });
    await serverIsGone();
  });

  it('dies with its parent though a child of the parent lives on', async () => {
    const grandchild = await parent.call<number>('grandchild');
    try {
      process.kill(parent.pid, 'SIGKILL');
      await serverIsGone();
      expect(alive(grandchild)).toBe(true);
    } finally {
      process.kill(grandchild, 'SIGKILL');
    }
  });

  it('lets its parent exit by itself, and goes too', async () => {
    await parent.stop();
    await serverIsGone();
  });
});
