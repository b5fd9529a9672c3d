import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';

const bed = new QueueBed();
const TASKS = 3_000;

describe('two queues in one process', () => {
  it('an idle one with a single place does not make the other read task by task', async () => {
    let done = 0;
    const { queue } = await bed.start({
      handlers: {
        tasks: { run: () => void done++, options: { concurrency: 50 } },
        report: { run: () => {}, options: { concurrency: 1 } },
      },
    });
    await queue.pause('tasks');
    await queue.publishMany('tasks', new Array<number>(TASKS).fill(1));
    const { calls } = await commandDelta(bed.admin, async () => {
      await queue.resume('tasks');
      await until(() => done === TASKS, { what: 'all are done', deadlineMs: 30_000 });
    });
    expect(calls['xreadgroup']).toBeLessThan(TASKS / 20);
  });

  it('a busy one with a single place neither slows the other, nor brings what must be returned', async () => {
    let done = 0;
    let slow = 0;
    const { queue } = await bed.start({
      handlers: {
        tasks: { run: () => void done++, options: { concurrency: 50 } },
        report: {
          run: () => {
            slow++;
            return new Promise((resolve) => setTimeout(resolve, 5));
          },
          options: { concurrency: 1 },
        },
      },
    });
    await queue.pause('tasks');
    await queue.pause('report');
    await queue.publishMany('report', new Array<number>(200).fill(1));
    await queue.publishMany('tasks', new Array<number>(TASKS).fill(1));
    const { calls } = await commandDelta(bed.admin, async () => {
      await queue.resume('report');
      await queue.resume('tasks');
      await until(() => done === TASKS && slow === 200, { what: 'all are done', deadlineMs: 30_000 });
    });
    // Of the first reads, one may have met the tasks of the other by surprise.
    expect(calls['xclaim'] ?? 0).toBeLessThan(150);
    expect(calls['xreadgroup']).toBeLessThan(TASKS / 5);
  });
});
