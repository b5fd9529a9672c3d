import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { Launcher } from '../support/launcher.js';
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

/** Claims that may not hold on a busy machine. Whether they are judged right is for the demo's own specs. */
const OF_SPEED =
  /^(what it was doing is finished elsewhere|parcels of the backlog ahead of the last express parcel|calls of the many ahead of the last other one|mean time to a free lock|tasks per second):/;

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

  it('shows what it promises on a private Redis, exits by itself and leaves nothing', async () => {
    launcher = new Launcher(['--once', '--json'], { SLUICE_REDIS_URL: '', SLUICE_REDIS_EMBEDDED: '' });
    const code = await launcher.exit();
    const broken = [...launcher.stderr.matchAll(/DOES NOT HOLD +(.*)/g)].map(([, claim = '']) => claim);
    expect(broken.filter((claim) => !OF_SPEED.test(claim))).toEqual([]);
    expect(code).toBe(broken.length === 0 ? 0 : 1);

    const outcome = JSON.parse(launcher.stdout) as Outcome;
    expect(outcome).toMatchObject({
      holds: broken.length === 0,
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
        mails: { delivered: 54, bounced: 6, reports: 1, sent: 54, failed: 6, digests: 1, reviews: 30 },
        parcels: { backlog: 300, express: 20 },
        tracking: { noted: 72, wrong: 0, refused: 12, recorded: 72 },
        webhooks: { flood: 20, others: 9 },
        backOffice: { indexed: 10, cancel: 'aborting', exportState: 'gone', missed: 0 },
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
  });

  it('borrows a Redis without touching what is in it, and takes its own keys away when it is interrupted', async () => {
    redis = await startRedis();
    await ask(redis.url, async (client) => {
      for (const key of ['tasks', '{cache}:product']) await client.set(key, 'mine');
    });
    launcher = new Launcher([], { SLUICE_REDIS_URL: redis.url });
    const pids = await launcher.pids();
    await until(() => launcher?.stdout.includes('accepted'), { what: 'orders are placed' });
    expect(await ask(redis.url, (client) => client.dbsize())).toBeGreaterThan(2);

    launcher.signal('SIGINT');
    expect(await launcher.exit()).toBe(0);
    await launcher.gone(pids);
    expect((await ask(redis.url, (client) => client.keys('*'))).sort()).toEqual(['tasks', '{cache}:product']);
  });

  it('fails with the reason when there is no Redis, and names no password', async () => {
    launcher = new Launcher(['--once', '--json'], { SLUICE_REDIS_URL: 'redis://me:secret@127.0.0.1:1' });
    expect(await launcher.exit()).toBe(1);
    expect(launcher.stdout).toBe('');
    expect(launcher.stderr).toContain('no Redis at 127.0.0.1:1: connect ECONNREFUSED');
    expect(launcher.stderr).not.toContain('secret');
  });
});
