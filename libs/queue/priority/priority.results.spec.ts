import { describe, expect, it } from '@jest/globals';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { defineQueue, type HandlerOptions, type Task } from '../index.js';

const bed = new QueueBed();
const LEVELS = ['high', 'normal', 'low'] as const;

const start = (run: (task: Task) => unknown, options: HandlerOptions = {}): Promise<QueueApp> =>
  bed.start({ queue: { queues: { tasks: { shares: true } } }, handlers: { tasks: { run, options } } });

const fails = (): never => {
  throw new Error('as asked');
};

describe('publishAndWait', () => {
  const Sums = defineQueue<number>('tasks', { shares: true }).returning<string>();
  const LONG = { timeoutMs: 600_000 };

  it('has the result of a task of any level, also one that is too large for a message', async () => {
    await start(({ payload }) => 'x'.repeat(payload as number));
    const { queue } = await bed.start({});
    for (const priority of LEVELS) {
      expect(await queue.publishAndWait(Sums, 3, { ...LONG, priority, delayMs: 1 })).toBe('xxx');
      expect(await queue.publishAndWait(Sums, 70_000, { ...LONG, priority })).toHaveLength(70_000);
    }
    await until(async () => (await bed.admin.keys('*~result:*')).length === 0, { what: 'no result is kept' });
  });

  it('has the failure of a task of a level, and the outcome of the named group alone', async () => {
    await start(() => 'done', { group: 'two' });
    // A process that began alone looks for further groups rarely.
    await start(fails, { group: 'one', maxAttempts: 2, backoff: 1 });
    const { queue } = await bed.start({});
    const options = { ...LONG, priority: 'high' } as const;
    const failed = queue.publishAndWait(Sums, 1, { ...options, group: 'one' });
    await expect(failed).rejects.toMatchObject({ code: 'SLUICE_TASK_FAILED', how: 'dead', attempts: 2 });
    expect(await queue.publishAndWait(Sums, 1, { ...options, group: 'two' })).toBe('done');
  });
});
