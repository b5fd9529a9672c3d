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
  recoveredMs: number;
  tasksPerSecond: number;
  lockMeanMs: number;
  initial: number;
  sold: number;
  left: number;
  steps: { orders: object; dailyJob: object; killedProcess: object; decrement: object };
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

  /** Where the page is. */
  async page(): Promise<string> {
    const url = (): string | undefined => /live at (\S+)/.exec(this.stdout)?.[1];
    await until(() => url() !== undefined, { what: 'the page is served', deadlineMs: 30_000 });
    return url() ?? '';
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

interface Live {
  saved: number;
  instances: { up: boolean }[];
}

async function push(url: string, button: string): Promise<string> {
  return (await fetch(`${url}/${button}`, { method: 'POST' })).text();
}

/** Reads the page's server-sent events, one at a time. */
async function live(url: string): Promise<(() => Promise<Live>) & { close: () => Promise<void> }> {
  const { body } = await fetch(`${url}/events`);
  if (!body) throw new Error('no events');
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const look = async (): Promise<Live> => {
    for (;;) {
      const end = text.indexOf('\n\n');
      if (end >= 0) {
        const event = text.slice('data: '.length, end);
        text = text.slice(end + 2);
        return JSON.parse(event) as Live;
      }
      const { value, done } = await reader.read();
      if (done) throw new Error('the events have ended');
      text += value;
    }
  };
  return Object.assign(look, { close: () => reader.cancel() });
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
      requests: 100,
      queries: 1,
      accepted: 420,
      completed: 400,
      dead: 20,
      dailyRuns: 1,
      steps: {
        orders: {
          placed: 300,
          accepted: 300,
          completed: 280,
          paid: 280,
          retried: 40,
          dead: 20,
          attempts: 380,
          left: 0,
        },
        dailyJob: { ticks: 5, runs: 5, onceAt: 5 },
        killedProcess: { accepted: 120, completed: 120, paid: 120, dead: 0, left: 0, answersAgain: 200 },
        decrement: { script: { taken: 150, left: 0 }, watch: { taken: 150, left: 0 }, lock: { taken: 150, left: 0 } },
      },
    });
    expect(outcome.sold).toBeGreaterThan(400);
    expect(outcome.left).toBe(outcome.initial - outcome.sold);
    for (const figure of ['recoveredMs', 'tasksPerSecond', 'lockMeanMs'] as const) {
      expect(outcome[figure]).toBeGreaterThan(0);
    }

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

  it('shows itself live on a page, whose buttons do what they say', async () => {
    redis = await startRedis();
    launcher = new Launcher([], { SLUICE_REDIS_URL: redis.url });
    const url = await launcher.page();
    expect(await (await fetch(url)).text()).toContain('<h1>Sluice: the shop</h1>');

    const look = await live(url);
    try {
      const before = await look();
      expect(before.instances).toMatchObject([{ up: true }, { up: true }, { up: true }]);
      expect(await push(url, 'requests')).toMatch(/^category \d+: 100 of 100 answered/);
      await until(async () => (await look()).saved >= before.saved + 99, { what: 'the saved queries are shown' });
      expect(await push(url, 'orders')).toBe('1000 of 1000 orders accepted');
      expect(await push(url, 'kill')).toMatch(/got SIGKILL$/);
      await until(async () => (await look()).instances.some(({ up }) => !up), { what: 'an instance is shown as down' });
      await until(async () => (await look()).instances.every(({ up }) => up), {
        what: 'it is back',
        deadlineMs: 20_000,
      });
      expect((await fetch(`${url}/unknown`, { method: 'POST' })).status).toBe(404);
    } finally {
      await look.close();
    }
  }, 90_000);

  it('validates an order, accepts it, and tells where it is', async () => {
    redis = await startRedis();
    launcher = new Launcher([], { SLUICE_REDIS_URL: redis.url });
    await launcher.page();
    const url = /app-1 +(\S+)/.exec(launcher.stdout)?.[1] ?? '';
    const order = async (body: object): Promise<Response> =>
      fetch(`${url}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect((await order({ productId: 1, customerId: 1, quantity: 0, card: 'good' })).status).toBe(400);

    const outcomes = { completed: { productId: 1, card: 'good' }, dead: { productId: 999_999, card: 'good' } };
    for (const [state, what] of Object.entries(outcomes)) {
      const accepted = await order({ customerId: 1, quantity: 2, ...what });
      expect(accepted.status).toBe(202);
      const status = `${url}${accepted.headers.get('location') ?? ''}`;
      await until(async () => ((await (await fetch(status)).json()) as { state: string }).state === state, {
        what: `the order is ${state}`,
        deadlineMs: 15_000,
      });
    }
    expect((await fetch(`${url}/orders/1-1`)).status).toBe(404);

    const price = async (): Promise<number> =>
      ((await (await fetch(`${url}/products/7`)).json()) as { priceCents: number }).priceCents;
    await price();
    await fetch(`${url}/products/7`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ priceCents: 4_711 }),
    });
    expect(await price()).toBe(4_711);
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ status: 'ok' });
    expect((await fetch(`${url}/docs`)).status).toBe(200);
  }, 90_000);

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
