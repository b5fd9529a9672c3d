import { Redis } from 'ioredis';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forkApp, type ForkedApp } from './fork-app.js';
import { startQueueApp } from './queue-app.js';
import { until } from './until.js';

export interface ScheduleChaosOptions {
  url: string;
  /** How many schedules of one second there are. */
  schedules: number;
  processes: number;
  leaseMs: number;
  /** Called again and again: kills, or waits. Resolves to false when it is enough. */
  step: (kill: () => Promise<void>) => Promise<boolean>;
}

export interface ScheduleHistory {
  /** The instants, from the first to the last, by the server's clock. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** The ids of all tasks that were added to the stream, in order. */
  readonly published: readonly string[];
  readonly ids: readonly string[];
}

const EVERY_MS = 1_000;
/** The wall clocks of two processes differ by up to a minute. */
const SKEW_MS = 30_000;

/**
 * Schedules of one second in a fleet whose wall clocks differ by up to a minute, while its processes are killed. A consumer group
 * of its own sees each task that is published.
 */
export async function runScheduleChaos(options: ScheduleChaosOptions): Promise<ScheduleHistory> {
  const { url, leaseMs } = options;
  const dir = mkdtempSync(join(tmpdir(), 'sluice-schedules-'));
  const ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
  const [admin, tap] = [new Redis(url, { protocol: 2 }), new Redis(url, { protocol: 2 })];
  await admin.xgroup('CREATE', 'tasks', 'tap', '0', 'MKSTREAM');
  const published: string[] = [];
  const over = new AbortController();
  const tapped = (async () => {
    while (!over.signal.aborted) published.push(...(await read(tap)));
  })();
  const { app, queue } = await startQueueApp({ url });
  const ids = Array.from({ length: options.schedules }, (_, n) => `schedule-${n}`);
  const fleet: ForkedApp[] = [];
  let started = 0;
  const start = async (): Promise<void> => {
    const skew = options.processes < 2 ? 0 : (started++ % options.processes) / (options.processes - 1);
    const env = {
      ...{ REDIS_URL: url, LEDGER: ledger, LEASE_MS: String(leaseMs), CONCURRENCY: '100' },
      SKEW_MS: String(Math.round((2 * skew - 1) * SKEW_MS)),
    };
    fleet.push(await forkApp('queue-worker', { env }));
  };
  try {
    await Promise.all(Array.from({ length: options.processes }, start));
    const all = queue.schedules('tasks');
    await Promise.all(
      ids.map((id, n) => all.upsert(id, { everyMs: EVERY_MS }, {}, { missed: n % 2 === 0 ? 'skip' : 'all' })),
    );
    // The first instant that all of them have.
    const fromMs = Math.max(...(await all.list()).map(({ next }) => next.getTime()));
    const kill = async (): Promise<void> => {
      const [victim] = fleet.splice(0, 1);
      await victim?.kill();
      await start();
    };
    while (await options.step(kill));
    const [seconds] = await admin.time();
    const untilMs = Number(seconds) * 1_000;
    const isThere = async (): Promise<boolean> =>
      (await all.list()).every(({ last }) => last !== undefined && last.getTime() >= untilMs);
    await until(isThere, { what: 'all instants were published', deadlineMs: 120_000 });
    // The tap has read all that was in the stream.
    const last = (await admin.xrevrange('tasks', '+', '-', 'COUNT', 1))[0]?.[0] ?? '0-0';
    const isRead = async (): Promise<boolean> => (await lastRead(admin)) >= last;
    await until(isRead, { what: 'the tap has read all' });
    return { fromMs, untilMs, ids, published };
  } finally {
    over.abort();
    await tapped;
    await Promise.all(fleet.map((each) => each.kill()));
    await app.close();
    admin.disconnect();
    tap.disconnect();
    rmSync(dir, { recursive: true });
  }
}

/** What was missed, and what was published twice. */
export function checkSchedules({ fromMs, untilMs, ids, published }: ScheduleHistory): {
  missed: string[];
  doubled: string[];
  expected: number;
} {
  const count = new Map<string, number>();
  for (const task of published) count.set(task, (count.get(task) ?? 0) + 1);
  const missed: string[] = [];
  let expected = 0;
  for (const id of ids) {
    for (let at = fromMs; at <= untilMs; at += EVERY_MS) {
      expected++;
      if (!count.has(`${id}@${at}`)) missed.push(`${id}@${at}`);
    }
  }
  return { missed, expected, doubled: [...count].flatMap(([task, times]) => (times > 1 ? [task] : [])) };
}

/** The last entry that the tap was given, as text: all ids here have the same length. */
async function lastRead(admin: Redis): Promise<string> {
  const groups = (await admin.xinfo('GROUPS', 'tasks')) as (string | number)[][];
  const tap = groups.find((row) => row[1] === 'tap') ?? [];
  return String(tap[tap.indexOf('last-delivered-id') + 1]);
}

async function read(tap: Redis): Promise<string[]> {
  const reply = await tap.xreadgroup(
    'GROUP',
    'tap',
    'me',
    'COUNT',
    5_000,
    'BLOCK',
    500,
    'NOACK',
    'STREAMS',
    'tasks',
    '>',
  );
  const rows = (reply as [string, [string, string[]][]][] | null)?.[0]?.[1] ?? [];
  return rows.map(([, fields]) => (JSON.parse(fields[fields.indexOf('meta') + 1] ?? '{}') as { id: string }).id);
}
