import { Redis } from 'ioredis';
import type { RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Books } from '../../support/books.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { SHORTEST_MS } from '../../support/producer-work.js';
import { forkApp, type ForkedApp } from '../../support/fork-app.js';
import { checkLedger, readLedger } from '../../support/ledger.js';
import { mostHeld } from '../../support/most-held.js';
import { until } from '../../support/until.js';

const WORKERS = 3;
const PRODUCERS = 2;
const CONCURRENCY = 10;
const HELD = mostHeld(CONCURRENCY, SHORTEST_MS);
const LEASE_MS = 1_000;

type Faults = Record<'killed' | 'frozen' | 'producers' | 'cut' | 'paused' | 'restarted', number>;

/** Everything that can die dies, while tasks are published all the time. */
export async function fire(ctx: ChaosContext): Promise<Verdict[]> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-queue-'));
  const redis = await ctx.startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
  const crews: Crews = { workers: [], producers: [] };
  try {
    return await burn(ctx, redis, dir, crews);
  } finally {
    await Promise.all([...crews.workers, ...crews.producers].map((app) => app.kill()));
    rmSync(dir, { recursive: true });
  }
}

interface Crews {
  workers: ForkedApp[];
  producers: ForkedApp[];
}

async function burn(ctx: ChaosContext, redis: RedisServer, dir: string, crews: Crews): Promise<Verdict[]> {
  const [runsPath, publishedPath] = [join(dir, 'runs'), join(dir, 'published')];
  for (const path of [runsPath, publishedPath]) writeFileSync(path, '');
  const admin = new Redis(redis.url, { protocol: 2, maxRetriesPerRequest: null });
  // It goes on when the server is back.
  admin.on('error', () => {});
  const books = new Books(admin, 'tasks');
  const worker = { REDIS_URL: redis.url, LEDGER: runsPath, CONCURRENCY: String(CONCURRENCY) };
  const lives = { LEASE_MS: String(LEASE_MS), BACKOFF_MS: '50' };
  const startWorker = async (): Promise<unknown> =>
    crews.workers.push(await forkApp('queue-worker', { env: { ...worker, ...lives } }));
  const startProducer = async (): Promise<unknown> =>
    crews.producers.push(await forkApp('queue-producer', { env: { REDIS_URL: redis.url, LEDGER: publishedPath } }));
  await Promise.all([
    ...Array.from({ length: WORKERS }, startWorker),
    ...Array.from({ length: PRODUCERS }, startProducer),
  ]);

  const faults: Faults = { killed: 0, frozen: 0, producers: 0, cut: 0, paused: 0, restarted: 0 };
  const beyondMs = (): number => LEASE_MS * (1 + 2 * ctx.random());
  const any = (apps: ForkedApp[]): ForkedApp | undefined => apps[Math.floor(ctx.random() * apps.length)];
  const kill = async (apps: ForkedApp[], start: () => Promise<unknown>): Promise<void> => {
    const [victim] = apps.splice(Math.floor(ctx.random() * apps.length), 1);
    await victim?.kill();
    await start();
  };
  for (let round = 0; ctx.more(round, 20); round++) {
    await pause(ctx.random() * 300);
    const draw = ctx.random();
    if (draw < 0.3) {
      faults.killed++;
      await kill(crews.workers, startWorker);
    } else if (draw < 0.5) {
      faults.frozen++;
      const victim = any(crews.workers);
      victim?.pause();
      await pause(beyondMs());
      victim?.resume();
    } else if (draw < 0.65) {
      faults.producers++;
      await kill(crews.producers, startProducer);
    } else if (draw < 0.8) {
      faults.cut++;
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    } else if (draw < 0.9) {
      faults.paused++;
      redis.pause();
      await pause(beyondMs());
      redis.resume();
    } else {
      faults.restarted++;
      await redis.kill();
      await pause(ctx.random() * 500);
      await redis.restart();
    }
  }
  ctx.log(
    Object.entries(faults)
      .map(([what, count]) => `${what} ${count}`)
      .join(', '),
  );
  const unknown = (await Promise.all(crews.producers.map((app) => app.call<number>('unknown')))).reduce(
    (a, b) => a + b,
    0,
  );
  await Promise.all(crews.producers.map((app) => app.stop()));
  const rests = async (): Promise<boolean> => (await books.settled()) && (await admin.zcard('{tasks}:~delayed')) === 0;
  const settled = await until(rests, { what: 'all is settled', deadlineMs: 90_000 }).catch(() => false);
  const verdicts = judge({
    faults,
    unknown: unknown + faults.producers,
    published: readLedger(publishedPath),
    runs: readLedger(runsPath),
    letters: (await books.letters()).map((letter) => ({
      id: letter['original_id'] ?? '',
      reason: letter['reason'] ?? '',
    })),
  });
  admin.disconnect();
  const quiet = holds('nothing waits, nothing is pending, nothing is delayed', settled);
  return [quiet, ...verdicts];
}

interface Evidence {
  faults: Faults;
  /** Publishes of which nobody knows whether they were made. */
  unknown: number;
  published: ReturnType<typeof readLedger>;
  runs: ReturnType<typeof readLedger>;
  letters: { id: string; reason: string }[];
}

function judge(evidence: Evidence): Verdict[] {
  const { faults, published, runs, letters } = evidence;
  const allowed = (faults.killed + faults.frozen) * HELD;
  const ids = published.filter(({ attempt }) => attempt === 1).map(({ id }) => id);
  const confirmed = new Set(published.map(({ id }) => id));
  const known = runs.filter(({ id }) => confirmed.has(id));
  const strangers = new Set(runs.filter(({ id }) => !confirmed.has(id)).map(({ id }) => id)).size;
  const breaches = checkLedger(ids, known, allowed);
  const failing = published.filter(({ attempt }) => attempt === 0).map(({ id }) => id);
  const buried = checkLetters(failing, letters, confirmed);
  const [first] = known;
  const without = known.filter(({ id }) => id !== first?.id);
  const beyond = Array.from({ length: allowed + 1 }, () => first).filter((run) => run !== undefined);
  const extra = known.length - new Set(known.map(({ id }) => id)).size;
  return [
    holds(
      'every confirmed publish ran, and no more runs were repeated than the victims held',
      breaches.length === 0,
      [
        `${published.length} published, ${extra} repeated of ${allowed} allowed`,
        ...breaches.map((each) => JSON.stringify(each)),
      ]
        .slice(0, 5)
        .join('; '),
    ),
    holds(
      'what nobody knows of was published without an answer',
      strangers <= evidence.unknown,
      `${strangers} of ${evidence.unknown}`,
    ),
    holds(
      'each failing task is in exactly one dead letter, and nothing else is',
      buried.length === 0,
      buried.slice(0, 5).join('; '),
    ),
    rejectsPlanted('a lost task', checkLedger(ids, without, allowed)),
    rejectsPlanted('one repetition beyond the bound', checkLedger(ids, [...known, ...beyond], allowed)),
    rejectsPlanted('a second dead letter', checkLetters(failing, [...letters, ...letters.slice(0, 1)], confirmed)),
    rejectsPlanted('a missing dead letter', checkLetters([...failing, '0-1'], letters, confirmed)),
  ];
}

/** Letters of tasks whose publish was not confirmed may be there as well. */
function checkLetters(
  failing: readonly string[],
  letters: Evidence['letters'],
  confirmed: ReadonlySet<string>,
): string[] {
  const count = new Map<string, number>();
  for (const { id } of letters) count.set(id, (count.get(id) ?? 0) + 1);
  const wanted = new Set(failing);
  return [
    ...failing.filter((id) => count.get(id) !== 1).map((id) => `${id} is in ${count.get(id) ?? 0} letters`),
    ...letters
      .filter(({ id }) => confirmed.has(id) && !wanted.has(id))
      .map(({ id, reason }) => `${id} was given up: ${reason}`),
  ];
}
