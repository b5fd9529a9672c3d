import { describe, expect, it } from '@jest/globals';
import { mergeHandlerOptions } from './handler.options.js';
import { resolveQueueOptions, type SluiceQueueModuleOptions } from './queue.options.js';

describe('resolveQueueOptions', () => {
  it('knows the defaults', () => {
    const options = resolveQueueOptions(undefined);
    expect(options).toMatchObject({ leaseMs: 5_000, drainMs: 20_000, consumers: undefined, connection: undefined });
    expect(mergeHandlerOptions({ name: 'q' }, {}, options, 'shop')).toEqual({
      ...{ group: 'shop', concurrency: 10, maxAttempts: 3, maxDeliveries: 5, foreignIdleMs: 300_000 },
      ...{ timeoutMs: undefined, maxDeferMs: 86_400_000, backoff: expect.any(Function), enhancers: false },
    });
  });

  it.each<[object, string]>([
    [{ leaseMs: 50 }, 'queue.leaseMs must be a number of milliseconds from 100'],
    [{ drainMs: -1 }, 'queue.drainMs must be'],
    [{ connection: '' }, 'queue.connection must be a non-empty string'],
    [{ consumers: true }, 'queue.consumers must be false or a list of queue names, got true'],
    [{ consumers: [] }, 'queue.consumers must be'],
    [{ consumers: [1] }, 'queue.consumers must be'],
    [{ concurrency: 0 }, 'queue.concurrency must be a whole number ≥ 1, got 0'],
    [{ foreignIdleMs: 0 }, 'queue.foreignIdleMs must be a number of milliseconds from 100'],
    [{ handlers: { a: { concurrency: '5' } } }, "queue.handlers.a.concurrency must be a whole number ≥ 1, got '5'"],
    [{ handlers: { a: { attempts: 5 } } }, 'queue.handlers.a.attempts is not an option'],
    [{ backoff: -1 }, 'queue.backoff must be a number of milliseconds from 0'],
    [{ backoff: [] }, 'queue.backoff must be a list of at least one number of milliseconds'],
    [
      { backoff: [1, 'x'] },
      "queue.backoff[1] must be a number of milliseconds from 0 to 3155760000000 (100 years), got 'x'",
    ],
    [{ backoff: { type: 'linear' } }, "queue.backoff must be milliseconds, a list of them, { type: 'exponential'"],
    [{ backoff: { type: 'exponential', factor: 2 } }, 'queue.backoff must be milliseconds'],
    [{ backoff: { type: 'exponential', maxMs: 0 } }, 'queue.backoff.maxMs must be at least baseMs (1000)'],
    [
      { backoff: { type: 'exponential', baseMs: 120_000, maxMs: 60_000 } },
      'queue.backoff.maxMs must be at least baseMs',
    ],
    [{ backoff: { type: 'exponential', delay: 1000 } }, 'or a function (baseMs: 1000 for delay: 1000), got'],
    [{ backoff: { type: 'fixed', delay: 1000 } }, 'or a function (1000 for a fixed delay of 1000), got'],
    [{ attempts: 3 }, 'Did you mean maxAttempts?'],
    [{ handlers: { a: { removeOnComplete: true } } }, 'Leave it out: a completed task is removed at once'],
    [{ timeoutMs: 0 }, 'queue.timeoutMs must be a number of milliseconds from 1'],
    [{ maxDeferMs: NaN }, 'queue.maxDeferMs must be a number of milliseconds from 0'],
    [{ handlers: ['a'] }, 'queue.handlers must be an object'],
    [{ concurency: 1 }, 'queue.concurency is not an option'],
  ])('refuses %j', (options, message) => {
    expect(() => resolveQueueOptions(options as SluiceQueueModuleOptions)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) }),
    );
  });
});
