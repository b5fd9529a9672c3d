import { describe, expect, it } from '@jest/globals';
import { defer, throwError, timer } from 'rxjs';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { HandlerOptions } from '../index.js';

const bed = new QueueBed();

describe.each<[string, HandlerOptions]>([
  ['a handler', {}],
  ['a handler with enhancers', { enhancers: true }],
  ['a handler with a time limit', { timeoutMs: 60_000 }],
])('%s that returns', (_what, options) => {
  it('an Observable is subscribed to, and done when that has completed', async () => {
    const work: string[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: () =>
            defer(() => {
              work.push('begun');
              return timer(5).pipe();
            }),
          options,
        },
      },
    });
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    expect(work).toEqual(['begun']);
    expect((await queue.counts('tasks')).dead).toBe(0);
  });

  it('an Observable that fails has failed: it is tried again, and becomes a dead letter', async () => {
    let runs = 0;
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: () => {
            runs++;
            return throwError(() => new Error('as asked'));
          },
          options: { ...options, maxAttempts: 2 },
        },
      },
    });
    await queue.publish('tasks', 1);
    await until(async () => (await queue.counts('tasks')).dead === 1, { what: 'it is a dead letter' });
    expect(runs).toBe(2);
  });

  it('an async generator is run to its end', async () => {
    const work: number[] = [];
    async function* steps(): AsyncGenerator<number> {
      for (const step of [1, 2, 3]) {
        work.push(step);
        yield step;
      }
    }
    const { queue } = await bed.start({ handlers: { tasks: { run: steps, options } } });
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    expect(work).toEqual([1, 2, 3]);
  });
});
