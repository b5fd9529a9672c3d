import { describe, expect, it } from '@jest/globals';
import type { FailedTask } from 'nestjs-sluice/queue';
import type { Work } from '../apps/queue-worker.js';
import type { ForkedApp } from '../support/fork-app.js';
import { ForkedBed } from '../support/forked-bed.js';
import { until } from '../support/until.js';

const bed = new ForkedBed();

const FAILURES = '{tasks}.failures';

const fork = (): Promise<ForkedApp> => bed.fork({ LEASE_MS: '300', BACKOFF_MS: '0', DEAD_LETTER_TO: FAILURES });

describe('processes that are killed while tasks fail', () => {
  it('publish one task about each dead letter', async () => {
    const { queue } = bed.operator;
    const ids = await queue.publishMany('tasks', new Array<Work>(200).fill({ fails: true, ms: 5 }));
    const failed = async (): Promise<number> => (await queue.counts(FAILURES)).waiting;
    for (const kills of [1, 2]) {
      const victim = await fork();
      const before = await failed();
      await until(async () => (await failed()) >= before + 20, { what: `it is at work before kill ${kills}` });
      await victim.kill();
    }
    await fork();
    await until(async () => (await queue.counts('tasks')).dead === ids.length, { what: 'all are dead letters' });
    const { tasks } = await queue.list(FAILURES, { limit: 1_000 });
    expect(tasks.map(({ payload }) => (payload as FailedTask).id).sort()).toEqual([...ids].sort());
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0, delayed: 0 });
  });
});
