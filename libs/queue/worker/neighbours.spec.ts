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
      await until(() => done === TASKS, { what: 'all are done' });
    });
    expect(calls['xreadgroup']).toBeLessThan(TASKS / 20);
  });
});

describe('the counts of reads', () => {
  const clock = new ManualClock();
  const worker = (credit: number, stream: string): Worker =>
    ({ credit, window: new ConcurrencyWindow(credit, clock), keys: { stream } }) as Worker;

  it('keep a busy queue with little credit apart, and a quiet one with the others', () => {
    const counts = new ReadCounts(2 ** 20, clock);
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

  it('let names with a common limit take turns while there is room for fewer of them', () => {
    const counts = new ReadCounts(2 ** 20, clock);
    const common = new ConcurrencyWindow(2, clock);
    const name = (stream: string): Worker =>
      ({ credit: 2, window: new ConcurrencyWindow(10, clock, { common }), keys: { stream } }) as Worker;
    const [a, b, c] = [name('a'), name('b'), name('c')];
    const all = [a, b, c];
    expect([1, 2, 3].map(() => counts.apart(all))).toEqual([
      [a, b],
      [b, c],
      [c, a],
    ]);
    expect(counts.of([a], all)).toBe(1);
    expect(counts.compete(all)).toBe(true);
    // Two of them were empty: the third is read with them, and has all the room.
    for (const empty of [b, c]) counts.saw(empty, { count: 1, credit: 2, tasks: 0 });
    expect(counts.compete(all)).toBe(false);
    expect(counts.apart(all)).toEqual([]);
    expect(counts.of(all)).toBe(2);
  });

  it('stay where a reply fits into memory until it is known how much there is, and soon again', async () => {
    const counts = new ReadCounts(2 ** 20, clock);
    const [first, second] = [worker(500, 'a'), worker(500, 'b')];
    let asked = 0;
    const measure = async (bytes: number, ...workers: Worker[]): Promise<number> => {
      const link = { send: async () => (asked++, bytes) } as unknown as Link;
      await counts.measure(link, workers, 1_000);
      return counts.of(workers);
    };
    expect(counts.of([first, second])).toBe(64);
    expect(await measure(2 ** 20, first, second)).toBe(500);
    expect(counts.of([first])).toBe(64);
    // Not again so soon.
    expect(await measure(2 ** 30, first, second)).toBe(500);
    expect(asked).toBe(1);
    clock.jump(50);
    expect(await measure(2 ** 20, first, second)).toBe(500);
    clock.jump(100);
    expect(counts.of([first, second])).toBe(64);
    expect(await measure(2 ** 30, first, second)).toBe(64);
    clock.jump(500);
    expect(await measure(2 ** 20, first, second)).toBe(64);
    clock.jump(500);
    expect(await measure(2 ** 20, first, second)).toBe(500);
    clock.jump(50);
    // Unknown, for want of a right.
    expect(await measure(-1, first, second)).toBe(64);
  });
});
