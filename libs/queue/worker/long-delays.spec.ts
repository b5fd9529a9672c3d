import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { DeadLetterTask, RetryTask, SnoozeTask, type Task } from '../index.js';
import { AGE_MAX_MS } from '../../weave/index.js';

const bed = new QueueBed();
const DAY_MS = 24 * 3_600_000;

describe('a task that is due in months', () => {
  it('is delayed, and listed page by page', async () => {
    const { queue } = await bed.start({ handlers: { tasks: () => {} } });
    const delays = [30 * DAY_MS, 400 * DAY_MS, AGE_MAX_MS];
    for (const delayMs of delays) await queue.publish('tasks', delayMs, { delayMs });
    const seen: unknown[] = [];
    let after: string | undefined;
    do {
      const page = await queue.list('tasks', { state: 'delayed', limit: 1, ...(after && { after }) });
      seen.push(...page.tasks.map(({ payload }) => payload));
      after = page.next;
    } while (after !== undefined && seen.length < 10);
    expect(seen).toEqual(delays);
  });

  it('may be snoozed or retried for as long, and no longer', () => {
    expect(new SnoozeTask({ delayMs: AGE_MAX_MS }).delayMs).toBe(AGE_MAX_MS);
    for (const delayMs of [Number.MAX_VALUE, Infinity, NaN, -1, '5']) {
      const refused = expect.objectContaining({ code: 'SLUICE_BAD_OPTION' });
      expect(() => new SnoozeTask({ delayMs: delayMs as number })).toThrow(refused);
      expect(() => new RetryTask({ delayMs: delayMs as number })).toThrow(refused);
    }
  });
});

describe('runAt', () => {
  it('is when a task is due, on the clock of Redis; what is past runs at once', async () => {
    const runs: unknown[] = [];
    const { queue } = await bed.start({ handlers: { tasks: ({ payload }: Task<never>) => void runs.push(payload) } });
    const runAt = new Date(Date.now() + 30 * DAY_MS);
    const id = await queue.publish('tasks', 'later', { runAt });
    expect(await queue.inspect('tasks', id)).toMatchObject({ state: 'delayed', dueAt: runAt });
    await queue.publishMany('tasks', ['past', 'now'], { runAt: new Date(Date.now() - 1) });
    await until(() => runs.length === 2, { what: 'those that are due have run' });
    expect(runs).toEqual(['past', 'now']);
  });

  it.each<object>([
    { runAt: new Date(), delayMs: 5 },
    { runAt: new Date(NaN) },
    { runAt: Date.now() },
    { delayMs: AGE_MAX_MS + 1 },
  ])('is checked: %p', async (options) => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    await expect(queue.publish('tasks', 1, options)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });
});

describe('task.deadLetter', () => {
  it.each<[unknown, string]>([
    ['', 'dead-letter'],
    [['to', 'body'], 'to,body'],
  ])('with the reason %p makes a dead letter at once, which keeps its id', async (given, reason) => {
    let runs = 0;
    const { queue } = await bed.start({
      handlers: {
        tasks: (task: Task<never>) => {
          runs++;
          if (runs === 1) throw new DeadLetterTask(given as string);
          task.deadLetter(given as string);
        },
      },
    });
    const ids = [await queue.publish('tasks', 1), await queue.publish('tasks', 2)];
    await until(async () => (await queue.counts('tasks')).dead === 2, { what: 'both are dead letters' });
    expect(runs).toBe(2);
    const { tasks } = await queue.dead('tasks').list();
    expect(tasks).toMatchObject(ids.map((id) => ({ id, reason })));
  });
});
