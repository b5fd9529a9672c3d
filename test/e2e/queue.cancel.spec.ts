import { describe, expect, it } from '@jest/globals';
import type { Work } from '../apps/queue-worker.js';
import type { ForkedApp } from '../support/fork-app.js';
import { ForkedBed } from '../support/forked-bed.js';
import { readLedger } from '../support/ledger.js';
import { until } from '../support/until.js';

const bed = new ForkedBed();

const fork = (): Promise<ForkedApp> => bed.fork({ LEASE_MS: '500' });

describe('a process that is killed with cancelled tasks', () => {
  it('has none of them run again, and all others', async () => {
    const { queue } = bed.operator;
    const first = await fork();
    // More than a process runs at a time, so some are prefetched.
    const ids = await queue.publishMany('tasks', new Array<Work>(10).fill({ hangs: true }));
    await until(async () => (await queue.counts('tasks')).running === 10, { what: 'it has all of them' });
    const cancelled = ids.filter((_, i) => i % 2 === 0);
    for (const id of cancelled) expect(await queue.cancel('tasks', id)).toBe('aborting');
    await first.kill();
    await fork();
    await until(async () => (await queue.counts('tasks')).running + (await queue.counts('tasks')).waiting === 0, {
      what: 'all are settled',
    });
    const runs = readLedger(bed.ledger).map(({ id }) => id);
    expect([...runs].sort()).toEqual(ids.filter((id) => !cancelled.includes(id)).sort());
    expect(await queue.counts('tasks')).toMatchObject({ delayed: 0, dead: 0 });
  });
});
