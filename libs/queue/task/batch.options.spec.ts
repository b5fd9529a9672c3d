import { describe, expect, it } from '@jest/globals';
import { batchModule } from '../../../test/support/batch-handler.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { checkHandlerOptions, mergeHandlerOptions, type BatchHandlerOptions } from '../handler.options.js';
import { resolveQueueOptions, type SluiceQueueModuleOptions } from '../queue.options.js';
import type { HandlerOptions } from '../index.js';

const bed = new QueueBed();
const refusal = (message: string): unknown =>
  expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) });

/** The batches of a handler of `orders`. */
const batchOf = (declared: object, options: SluiceQueueModuleOptions = {}): unknown =>
  mergeHandlerOptions(
    { name: 'orders' },
    checkHandlerOptions('@TaskHandler', declared),
    resolveQueueOptions(options),
    'shop',
  ).batch;

describe('batch', () => {
  it('is set by the decorator, and its members are changed by queue.handlers', () => {
    expect(batchOf({})).toBeUndefined();
    expect(batchOf({ batch: { max: 100 } })).toEqual({ max: 100, waitMs: 0 });
    const declared = { batch: { max: 100, waitMs: 50 } };
    expect(batchOf(declared, { handlers: { orders: { batch: { max: 1_000 } } } })).toEqual({ max: 1_000, waitMs: 50 });
    expect(batchOf(declared, { handlers: { orders: { batch: { waitMs: 0 } } } })).toEqual({ max: 100, waitMs: 0 });
    expect(batchOf(declared, { handlers: { orders: { batch: {}, concurrency: 1 } } })).toEqual(declared.batch);
  });

  it('of one named task comes before that of the whole queue', () => {
    const { batch } = mergeHandlerOptions(
      { name: '{files}.import', task: { queue: 'files', name: 'import' } },
      checkHandlerOptions('@TaskHandler', { batch: { max: 100 } }),
      resolveQueueOptions({
        handlers: { 'files.import': { batch: { max: 7 } }, files: { batch: { max: 5, waitMs: 9 } } },
      }),
      'shop',
    );
    expect(batch).toEqual({ max: 7, waitMs: 9 });
  });

  it.each<[object, string]>([
    [{ batch: {} }, '@TaskHandler.batch.max must be given'],
    [{ batch: 100 }, '@TaskHandler.batch must be an options object'],
    [{ batch: { max: 0 } }, '@TaskHandler.batch.max must be a whole number ≥ 1, got 0'],
    [{ batch: { max: 1_001 } }, '@TaskHandler.batch.max must be at most 1000, got 1001'],
    [{ batch: { max: 1, waitMs: -1 } }, '@TaskHandler.batch.waitMs must be a number of milliseconds from 0'],
    [{ batch: { max: 1, size: 2 } }, '@TaskHandler.batch.size is not an option'],
  ])('%j is refused', (declared, message) => {
    expect(() => batchOf(declared)).toThrow(refusal(message));
  });

  it.each<[object, string]>([
    [{ batch: { max: 5 } }, 'queue.batch must be left out: batch belongs into @TaskHandler'],
    [{ handlers: { orders: { batch: { max: 0 } } } }, 'queue.handlers.orders.batch.max must be a whole number'],
    [{ handlers: { orders: { batch: { max: 5_000 } } } }, 'queue.handlers.orders.batch.max must be at most 1000'],
  ])('in the configuration %j is refused', (options, message) => {
    expect(() => resolveQueueOptions(options)).toThrow(refusal(message));
  });

  it('from the configuration alone fails the boot', async () => {
    const started = bed.start({
      handlers: { tasks: () => {} },
      queue: { handlers: { tasks: { batch: { max: 10 } } } },
    });
    await expect(started).rejects.toThrow(
      refusal('queue.handlers.tasks.batch must be left out, because the @TaskHandler of this queue has no batch'),
    );
  });

  it.each<[string, Partial<BatchHandlerOptions>, HandlerOptions]>([
    ['enhancers', { enhancers: true }, {}],
    ['enhancers', {}, { enhancers: true }],
    ['concurrency.fleet', { concurrency: { fleet: 5 } }, {}],
    ['rateLimit', { rateLimit: { limit: 5, perMs: 1_000 } }, {}],
    ['rateLimit', {}, { rateLimit: { limit: 5, perMs: 1_000 } }],
  ])('with %s of its own %j or of the module %j fails the boot', async (what, own, queue) => {
    const handler = batchModule('tasks', { batch: { max: 10 }, ...own }, () => {});
    await expect(bed.start({ imports: [handler], queue })).rejects.toThrow(
      refusal(`@TaskHandler('tasks') on Batches.handle has batch and ${what}: `),
    );
  });
});
