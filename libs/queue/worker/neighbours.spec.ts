import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { until } from '../../../test/support/until.js';
import type { Link } from '../../redis/index.js';
import { ConcurrencyWindow } from './concurrency-window.js';
import { ReadCounts } from './loops/read-counts.js';
import type { Worker } from './worker.js';

const bed = new QueueBed();
const TASKS = 3_000;

describe('two queues in one process', () => {
  it('an idle one with a single place does not make the other read task by task', async () => {
    let done = 0;
    const { queue } = await bed.start({
      handlers: {
        tasks: { run: () => done++, options: { concurrency: 50 } },
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
});

describe('the counts of reads', () => {
  const worker = (credit: number, large: string): Worker =>
    ({ credit, window: new ConcurrencyWindow(credit, new ManualClock()), keys: { large } }) as Worker;

  it('keep a busy queue with little credit apart, and a quiet one with the others', () => {
    const counts = new ReadCounts(2 ** 20);
    const [big, small] = [worker(50, 'a'), worker(1, 'b')];
    expect(counts.apart([big, small])).toEqual([small]);
    expect(counts.of([small], [big, small])).toBe(1);
    counts.saw(small, { count: 1, credit: 1, tasks: 0 });
    expect(counts.apart([big, small])).toEqual([]);
    expect(counts.of([big, small])).toBe(50);
    // It brought more than there was credit for: there may be more.
    counts.saw(small, { count: 50, credit: 1, tasks: 2 });
    expect(counts.apart([big, small])).toEqual([small]);
  });

  it('stay where a reply fits into memory until the queue is known to be without large payloads', async () => {
    const counts = new ReadCounts(2 ** 20);
    const [first, second] = [worker(500, 'a'), worker(500, 'b')];
    const link = (marks: (string | null)[]): Link => ({ send: async () => marks }) as unknown as Link;
    expect(counts.of([first, second])).toBe(64);
    await counts.look(link([null, null]), [first, second], 1_000);
    expect(counts.of([first, second])).toBe(500);
    await counts.look(link([null, '1']), [first, second], 1_000);
    expect(counts.of([first, second])).toBe(64);
    expect(counts.of([first])).toBe(500);
  });
});
