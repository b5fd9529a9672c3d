import { expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { readdirSync } from 'node:fs';
import { ForkedBed } from '../support/forked-bed.js';
import type { RecordedWork } from '../support/recorded-work.js';
import { until } from '../support/until.js';

/** How many processes die at a settlement. */
const KILLS = Number(process.env['SLUICE_KILLS'] ?? 16);
/** How many tasks kill every process that gets them. Each kills four. */
const POISON = 2;

const bed = new ForkedBed();

type Rows = [id: string, fields: string[]][];

/** At one instant: which tasks are in the queue, recorded as completed or failed, dead letters, or noted. Each as often as it is there. */
async function look(): Promise<Record<'queued' | 'completed' | 'failed' | 'dead' | 'noted', string[]>> {
  const admin = new Redis(bed.redis.url);
  try {
    const found = await admin
      .multi()
      .xrange('tasks', '-', '+')
      .xrange('{tasks}:~history-completed', '-', '+')
      .xrange('{tasks}:~history-failed', '-', '+')
      .xrange('{tasks}:~dead', '-', '+')
      .smembers('{tasks}:noted')
      .exec();
    const [queue = [], completed = [], failed = [], dead = []] = (found ?? []).map(([, value]) => value as Rows);
    const noted = found?.[4]?.[1] as string[];
    const field = (rows: Rows, name: string): string[] =>
      rows.map(([, fields]) => fields[fields.lastIndexOf(name) + 1] ?? '').sort();
    return {
      queued: queue.map(([id]) => id),
      completed: field(completed, 'id'),
      failed: field(failed, 'id'),
      dead: field(dead, 'original_id'),
      noted: noted.sort(),
    };
  } finally {
    admin.disconnect();
  }
}

it('processes that are killed at every settlement: a task is settled exactly if it is recorded, and once', async () => {
  const kinds: readonly RecordedWork[] = [{}, { fails: true }, { notes: true }];
  const works: RecordedWork[] = [
    ...new Array<RecordedWork>(POISON).fill({ dies: 'always' }),
    ...Array.from({ length: 3 * KILLS }, (_, i): RecordedWork => {
      const kind = kinds[i % kinds.length]!;
      return i % 3 === 0 ? { ...kinds[(i / 3) % 3]!, dies: i % 2 === 0 ? 'written' : 'sent' } : kind;
    }),
  ];
  const published = await bed.operator.queue.publishMany('tasks', works);
  const ids = [...published].sort();
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  /** Whoever dies is replaced. */
  const keepAlive = async (): Promise<void> => {
    while (!isOver()) {
      const worker = await bed.fork({}, 'history-worker').catch(() => undefined);
      if (isOver()) await worker?.kill();
      // A process may die before it has told that it is ready.
      await worker?.once('its end').catch(() => {});
    }
  };
  const kept = [keepAlive(), keepAlive(), keepAlive()];
  await until(
    async () => {
      const { queued, completed, failed, dead, noted } = await look();
      // Each task is in one place, and what was noted was acknowledged.
      expect([...queued, ...completed, ...failed].sort()).toEqual(ids);
      expect(failed).toEqual(dead);
      expect(noted.filter((id) => !completed.includes(id))).toEqual([]);
      return queued.length === 0;
    },
    { what: 'all are settled', deadlineMs: 600_000 },
  );
  over.abort();
  await Promise.all(bed.workers.map((worker) => worker.kill()));
  await Promise.all(kept);
  const workOf = (id: string): RecordedWork => works[published.indexOf(id)]!;
  const { completed } = await look();
  expect(completed.filter((id) => workOf(id).fails === true || workOf(id).dies === 'always')).toEqual([]);
  const { tasks } = await bed.operator.queue.history('tasks', { state: 'failed', limit: 1_000 });
  for (const { id, reason } of tasks)
    expect(reason).toBe(reason === 'as asked' && workOf(id).fails ? reason : 'max-deliveries');
  // A task that was killed beside others too often may be among them.
  const buried = tasks.filter(({ reason }) => reason === 'max-deliveries').map(({ id }) => id);
  expect(published.slice(0, POISON).filter((id) => !buried.includes(id))).toEqual([]);
  // Each death has left its mark, unless another one killed the process first.
  const deaths = readdirSync(bed.dir).filter((name) => name.startsWith('ledger.'));
  expect(deaths.length).toBeGreaterThan(KILLS / 4);
}, 900_000);
