import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { forkApp, type ForkedApp } from '../../support/fork-app.js';
import { startQueueApp } from '../../support/queue-app.js';
import { until } from '../../support/until.js';

const QUEUES = ['q0', 'q1', 'q2', 'q3', 'q4'];
const LONG_MS = 60_000;
const LIMIT_MS = 7_000;

interface Recovered {
  queue: string;
  /** From the kill until its task ran elsewhere. */
  tookMs: number;
  /** How much a timer of as many milliseconds was late on this machine. */
  controlMs: number;
}

/** At the defaults: processes are killed with a task in hand; another one has it running within a lease and a sweep. */
export async function recovery(ctx: ChaosContext): Promise<Verdict[]> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-recovery-'));
  const apps: ForkedApp[] = [];
  try {
    return await killOneByOne(ctx, join(dir, 'ledger'), apps);
  } finally {
    await Promise.all(apps.map((app) => app.kill()));
    rmSync(dir, { recursive: true });
  }
}

async function killOneByOne(ctx: ChaosContext, ledger: string, apps: ForkedApp[]): Promise<Verdict[]> {
  writeFileSync(ledger, '');
  const redis = await ctx.startRedis();
  const { app, queue } = await startQueueApp({ url: redis.url });
  const start = async (queues: readonly string[]): Promise<ForkedApp> => {
    const env = { REDIS_URL: redis.url, LEDGER: ledger, QUEUES: queues.join(',') };
    const started = await forkApp('queue-worker', { env });
    apps.push(started);
    return started;
  };
  const keeper = await start(['long']);
  const long = await queue.publish('long', { ms: LONG_MS });
  await keeper.once('started');
  const startedMs = performance.now();

  const recovered: Recovered[] = [];
  for (let round = 0; ctx.more(round, 10); round++) {
    // Another one takes part in the long one's queue all the time, and is killed with the rest.
    const victims = await Promise.all(QUEUES.map((name) => start([name, 'long'])));
    const ids = await Promise.all(
      QUEUES.map((name) => queue.publish(name, round % 2 === 0 ? { hangs: true } : { ms: LONG_MS })),
    );
    await Promise.all(victims.map((victim) => victim.once('started')));
    const survivor = await start(QUEUES);
    // A process may judge once its own lease has been unbroken for a whole one.
    await pause(5_500);
    const seen = new Map<string, number>();
    survivor.on('started', ({ id }: { id: string }) => seen.set(id, performance.now()));
    await Promise.all(
      victims.map(async (victim, i) => {
        await pause(ctx.random() * 500);
        await victim.kill();
        const killedMs = performance.now();
        const control = pause(LIMIT_MS).then(() => performance.now() - killedMs - LIMIT_MS);
        const id = ids[i] ?? '';
        const at = await until(() => seen.get(id), { what: `${QUEUES[i]} recovered`, deadlineMs: 20_000 }).catch(
          () => Infinity,
        );
        recovered.push({ queue: QUEUES[i] ?? '', tookMs: at - killedMs, controlMs: Math.max(0, await control) });
      }),
    );
    await survivor.kill();
    // What hung has run; the long ones are of no interest any more.
    await redisCleared(redis.url);
  }
  await pause(Math.max(0, LONG_MS + 2_000 - (performance.now() - startedMs)));
  const runsOfLong = readFileSync(ledger, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith(`${long} `)).length;
  await app.close();
  const worst = Math.max(...recovered.map(({ tookMs }) => tookMs));
  ctx.log(`${recovered.length} killed; the slowest recovery took ${Math.round(worst)} ms`);
  return [
    holds(
      `each task of a killed process ran elsewhere within ${LIMIT_MS} ms`,
      tooSlow(recovered).length === 0,
      tooSlow(recovered).join('; '),
    ),
    holds('a 60 s handler ran once, while processes beside it died', runsOfLong === 1, `${runsOfLong} runs`),
    rejectsPlanted(
      'a recovery that took too long',
      tooSlow([...recovered, { queue: 'q', tookMs: LIMIT_MS + 500, controlMs: 0 }]),
    ),
  ];
}

async function redisCleared(url: string): Promise<void> {
  const { Redis } = await import('ioredis');
  const admin = new Redis(url, { protocol: 2 });
  await admin.del(...QUEUES, ...QUEUES.map((name) => `{${name}}:~alive`));
  admin.disconnect();
}

function tooSlow(all: readonly Recovered[]): string[] {
  return all
    .filter(({ tookMs, controlMs }) => tookMs > LIMIT_MS + controlMs)
    .map(({ queue, tookMs }) => `${queue} took ${Math.round(tookMs)} ms`);
}
