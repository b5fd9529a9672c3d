import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { alive } from '../support/alive.js';
import { until } from '../support/until.js';

interface Outcome {
  holds: boolean;
  redis: { host: string };
  processes: { name: string; pid: number }[];
  coldKey: object;
  orders: object;
  dailyJob: object;
  killedProcess: object;
  speed: { lockMeanMs: number; tasksPerSecond: number };
}

/** The built launcher, as `npm run demo` runs it. */
class Launcher {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #end: Promise<unknown>;

  constructor(args: string[], env: Record<string, string> = {}) {
    if (process.env['SLUICE_STALE_BUILD']) throw new Error('dist is older than the sources: npm run build');
    this.#child = spawn(process.execPath, ['dist/apps/demo/src/launcher.js', ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.#end = once(this.#child, 'close');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code, or null after a signal that it did not catch. */
  async exit(): Promise<number | null> {
    await this.#end;
    return this.#child.exitCode;
  }

  /** The processes of its fleet, as it printed them. */
  async pids(): Promise<number[]> {
    const pids = (): number[] => [...this.stdout.matchAll(/pid (\d+)$/gm)].map(([, pid]) => Number(pid));
    await until(() => pids().length >= 3, { what: 'the processes serve', deadlineMs: 20_000 });
    return pids();
  }

  async gone(pids: readonly number[]): Promise<void> {
    await until(() => !pids.some(alive), { what: 'the processes are gone' });
  }
}

async function ask<T>(url: string, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

describe('the demo', () => {
  let launcher: Launcher | undefined;
  let redis: RedisServer | undefined;

  afterEach(async () => {
    launcher?.signal('SIGKILL');
    await launcher?.exit();
    await redis?.stop();
    redis = undefined;
  });

  it('shows what it promises on a private Redis, exits 0 and leaves nothing', async () => {
    launcher = new Launcher(['--once', '--json'], { SLUICE_REDIS_URL: '', SLUICE_REDIS_EMBEDDED: '' });
    const code = await launcher.exit();
    expect(launcher.stderr).not.toContain('DOES NOT HOLD');
    expect(code).toBe(0);

    const outcome = JSON.parse(launcher.stdout) as Outcome;
    expect(outcome).toMatchObject({
      holds: true,
      coldKey: { requests: 100, answered: 100, loads: 1 },
      orders: { placed: 300, accepted: 300, completed: 280, retried: 40, dead: 20, attempts: 380, left: 0 },
      dailyJob: { ticks: 5, runs: 5, onceAt: 5 },
      killedProcess: { accepted: 120, completed: 120, dead: 0, left: 0, answersAgain: 200 },
      speed: { tasks: 5_000, handled: 5_000 },
    });
    expect(outcome.speed.lockMeanMs).toBeGreaterThan(0);
    expect(outcome.speed.tasksPerSecond).toBeGreaterThan(0);

    expect(outcome.processes).toHaveLength(3);
    await launcher.gone(outcome.processes.map(({ pid }) => pid));
    await expect(ask(`redis://${outcome.redis.host}`, (client) => client.ping())).rejects.toThrow();
  }, 90_000);

  it('borrows a Redis without touching what is in it, and takes its own keys away when it is interrupted', async () => {
    redis = await startRedis();
    await ask(redis.url, (client) => client.mset('tasks', 'mine', '{cache}:product', 'mine'));
    launcher = new Launcher([], { SLUICE_REDIS_URL: redis.url });
    const pids = await launcher.pids();
    await until(() => launcher?.stdout.includes('accepted'), { what: 'orders are placed', deadlineMs: 20_000 });
    expect(await ask(redis.url, (client) => client.dbsize())).toBeGreaterThan(2);

    launcher.signal('SIGINT');
    expect(await launcher.exit()).toBe(0);
    await launcher.gone(pids);
    expect((await ask(redis.url, (client) => client.keys('*'))).sort()).toEqual(['tasks', '{cache}:product']);
  }, 60_000);

  it('leaves no process behind when it is killed', async () => {
    redis = await startRedis();
    launcher = new Launcher(['--once'], { SLUICE_REDIS_URL: redis.url });
    const pids = await launcher.pids();
    launcher.signal('SIGKILL');
    expect(await launcher.exit()).toBeNull();
    await launcher.gone(pids);
  }, 60_000);

  it('fails with the reason when there is no Redis, and names no password', async () => {
    launcher = new Launcher(['--once', '--json'], { SLUICE_REDIS_URL: 'redis://me:secret@127.0.0.1:1' });
    expect(await launcher.exit()).toBe(1);
    expect(launcher.stdout).toBe('');
    expect(launcher.stderr).toContain('no Redis at 127.0.0.1:1: connect ECONNREFUSED');
    expect(launcher.stderr).not.toContain('secret');
  }, 60_000);
});
