import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { Propagation, Task, TraceContext } from '../index.js';

const bed = new QueueBed();
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** As a tracing library does it: what is active lies in an AsyncLocalStorage. */
const active = new AsyncLocalStorage<TraceContext>();
const propagation: Propagation = {
  inject: (carrier) => void Object.assign(carrier, active.getStore(), { 'x-internal': 'stays' }),
  run: (carrier, work) => active.run(carrier, work),
};

describe('trace context', () => {
  it('goes from the publisher to the handler, through retries and delays, as W3C says it', async () => {
    const seen: unknown[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: (task: Task<never>) => {
          seen.push([task.trace, active.getStore(), task.attempt]);
          if (task.attempt === 1) throw new Error('once more');
        },
      },
      queue: { propagation, backoff: 1 },
    });
    const context = { traceparent: PARENT, tracestate: 'vendor=1', baggage: 'user=7' };
    await active.run(context, () => queue.publish('tasks', 1));
    await bed.untilSettled();
    await active.run(context, () => queue.publish('tasks', 2, { delayMs: 5 }));
    await queue.publish('tasks', 3);
    const all = [...[1, 2, 1, 2].map((attempt) => [context, context, attempt]), [{}, {}, 1], [{}, {}, 2]];
    await until(() => seen.length === 6, { what: 'all ran twice' });
    const order = (a: unknown, b: unknown): number => JSON.stringify(a).localeCompare(JSON.stringify(b));
    expect([...seen].sort(order)).toEqual(all.sort(order));
  });

  it('can be given to publish, and by producers of other kinds in meta', async () => {
    const seen: unknown[] = [];
    const { queue } = await bed.start({
      handlers: { tasks: (task: Task<never>) => void seen.push(task.trace) },
    });
    await queue.publish('tasks', 1, { trace: { traceparent: PARENT } });
    await bed.admin.xadd('tasks', '*', 'payload', '1', 'meta', JSON.stringify({ traceparent: PARENT, other: 1 }));
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    expect(seen).toEqual([{ traceparent: PARENT }, { traceparent: PARENT }, {}]);
  });

  it('is refused where it is given and too long, and left out where it is injected', async () => {
    const inject = (carrier: Record<string, string>): void => {
      Object.assign(carrier, { traceparent: PARENT, baggage: 'b'.repeat(8_193) });
    };
    const { queue } = await bed.start({ queue: { consumers: false, propagation: { inject } } });
    await expect(queue.publish('tasks', 1, { trace: { baggage: 'b'.repeat(8_193) } })).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringMatching(/^publish\.trace\.baggage must be at most 8192 bytes long, got 'b+'…/),
    });
    await queue.publish('tasks', 1);
    expect((await bed.admin.xrange('tasks', '-', '+')).map(([, fields]) => fields.at(-1))).toEqual([
      JSON.stringify({ traceparent: PARENT }),
    ]);
  });

  it('adds nothing to an entry where there is none', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    await queue.publish('tasks', 1);
    expect((await bed.admin.xrange('tasks', '-', '+'))[0]![1].slice(-2)).toEqual(['meta', '']);
    await expect(queue.publish('tasks', 1, { trace: 'x' as never })).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
    });
  });
});
