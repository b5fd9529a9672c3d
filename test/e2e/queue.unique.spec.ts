import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Task, TaskInfo } from 'nestjs-sluice/queue';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UniqueMode } from '../apps/unique-producer.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { readLedger } from '../support/ledger.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

const EACH = 1_000;
const NAMES = ['a', 'b', 'c', 'd'];

let redis: RedisServer;
let looker: QueueApp;
let dir: string;
let ledger: string;
let producers: ForkedApp[] = [];
beforeEach(async () => {
  redis = await startRedis();
  looker = await startQueueApp({ url: redis.url });
  dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
  ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
  producers = await Promise.all(
    NAMES.map((NAME) => forkApp('unique-producer', { env: { REDIS_URL: redis.url, LEDGER: ledger, NAME } })),
  );
});
afterEach(async () => {
  await Promise.all(producers.map((producer) => producer.kill()));
  await looker.app.close();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

const publish = (producer: ForkedApp, mode: UniqueMode): Promise<Record<string, number>> =>
  producer.call<Record<string, number>>('publish', mode, EACH);

/** How often each outcome was, in all processes. */
async function all(mode: UniqueMode): Promise<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const outcomes of await Promise.all(producers.map((producer) => publish(producer, mode)))) {
    for (const [outcome, count] of Object.entries(outcomes)) sum[outcome] = (sum[outcome] ?? 0) + count;
  }
  return sum;
}

async function tasksOf(mode: UniqueMode): Promise<TaskInfo[]> {
  const pages = await Promise.all(
    (['waiting', 'delayed'] as const).map((state) => looker.queue.list(mode, { state, limit: 1_000 })),
  );
  return pages.flatMap(({ tasks }) => tasks);
}

describe('four processes that publish a thousand times each under one key', () => {
  it('make one task, or replace or postpone one', async () => {
    expect(await all('skip')).toEqual({ published: 1, skipped: NAMES.length * EACH - 1 });
    expect(await tasksOf('skip')).toMatchObject([{ payload: expect.stringMatching(/^[abcd]:\d+$/) }]);
    expect(await all('replace')).toEqual({ published: 1, replaced: NAMES.length * EACH - 1 });
    expect(await tasksOf('replace')).toMatchObject([{ payload: expect.stringMatching(/^[abcd]:9[89]\d$/) }]);
    expect(await all('follow-up')).toEqual({ published: 1, replaced: NAMES.length * EACH - 1 });
    expect(await tasksOf('follow-up')).toMatchObject([{ payload: expect.stringMatching(/^[abcd]:9[89]\d$/) }]);
    expect(await all('debounce')).toEqual({ published: 1, postponed: NAMES.length * EACH - 1 });
    // The last of one of them.
    expect(await tasksOf('debounce')).toMatchObject([{ payload: expect.stringMatching(/^[abcd]:9[89]\d$/) }]);
  });

  it('replace a task, and the last payload runs last, also if the process is killed', async () => {
    const ran: string[] = [];
    const worker = await startQueueApp({
      url: redis.url,
      handlers: {
        replace: { run: ({ payload }: Task<string>) => void ran.push(payload), options: { concurrency: 1 } },
      },
    });
    const [victim] = producers;
    const killed = publish(victim!, 'replace').catch(() => ({}));
    await until(() => readLedger(ledger).length >= 200, { what: 'it is in the middle' });
    await victim!.kill();
    await killed;
    await until(async () => (await worker.queue.inspect('replace', { key: 'of replace' })) === undefined, {
      what: 'the last task is done',
    });
    await worker.app.close();
    const n = (item = ''): number => Number(item.slice(2));
    const confirmed = Math.max(...readLedger(ledger).map(({ id }) => n(id)));
    // What was on its way when it was killed may be there as well.
    expect(n(ran.at(-1))).toBeGreaterThanOrEqual(confirmed);
    expect(ran.map(n)).toEqual([...ran.map(n)].sort((x, y) => x - y));
    expect(new Set(ran).size).toBe(ran.length);
  });

  it('collect every item once, each in the order of its process, also if one is killed', async () => {
    const [victim, ...others] = producers;
    const killed = publish(victim!, 'collect').catch(() => ({}));
    const rest = others.map((producer) => publish(producer, 'collect'));
    await until(() => readLedger(ledger).filter(({ by }) => by === 'a').length >= 100, { what: 'it is in the middle' });
    await victim!.kill();
    await killed;
    await Promise.all(rest);
    const items = (await tasksOf('collect')).flatMap(({ payload }) => payload as string[]);
    expect(new Set(items).size).toBe(items.length);
    const confirmed = readLedger(ledger).map(({ id }) => id);
    expect(items).toEqual(expect.arrayContaining(confirmed));
    // Of the one that was killed, what was on its way may be there as well.
    expect(items.length - confirmed.length).toBeLessThanOrEqual(20);
    for (const name of NAMES) {
      const own = items.filter((item) => item.startsWith(name)).map((item) => Math.floor(Number(item.slice(2)) / 20));
      expect(own).toEqual([...own].sort((x, y) => x - y));
    }
  });
});
