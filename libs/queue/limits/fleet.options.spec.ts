import { describe, expect, it } from '@jest/globals';
import { mergeHandlerOptions, type HandlerOptions } from '../handler.options.js';
import { resolveQueueOptions, type SluiceQueueModuleOptions } from '../queue.options.js';

const merged = (
  declared: HandlerOptions,
  given?: SluiceQueueModuleOptions,
  name = 'mails',
  isWhole = false,
): unknown => {
  const { concurrency, fleet, rateLimit } = mergeHandlerOptions(
    { name },
    declared,
    resolveQueueOptions(given),
    'shop',
    isWhole,
  );
  return { concurrency, fleet, rateLimit };
};

describe('limits of the fleet', () => {
  it.each<[string, HandlerOptions, SluiceQueueModuleOptions | undefined, object]>([
    ['none', {}, undefined, { concurrency: 10, fleet: undefined, rateLimit: undefined }],
    ['a number is per process', { concurrency: 3 }, undefined, { concurrency: 3, fleet: undefined }],
    ['both', { concurrency: { process: 3, fleet: 5 } }, undefined, { concurrency: 3, fleet: 5 }],
    ['the fleet alone', { concurrency: { fleet: 5 } }, { concurrency: 4 }, { concurrency: 4, fleet: 5 }],
    [
      'member by member',
      { concurrency: { process: 3, fleet: 5 }, rateLimit: { limit: 5, perMs: 1_000 } },
      { handlers: { mails: { concurrency: { fleet: 7 }, rateLimit: { limit: 6 } } } },
      { concurrency: 3, fleet: 7, rateLimit: { limit: 6, perMs: 1_000 } },
    ],
    [
      'a number leaves the fleet',
      { concurrency: { process: 3, fleet: 5 } },
      { handlers: { mails: { concurrency: 8 } } },
      { concurrency: 8, fleet: 5 },
    ],
    [
      'false ends a limit',
      { concurrency: { fleet: 5 }, rateLimit: { limit: 5, perMs: 1_000 } },
      { handlers: { mails: { concurrency: { fleet: false }, rateLimit: false } } },
      { concurrency: 10, fleet: undefined, rateLimit: undefined },
    ],
    [
      'defaults of the module',
      { rateLimit: { limit: 5 } },
      { rateLimit: { limit: 9, perMs: 60_000 }, concurrency: { process: 2, fleet: 4 } },
      { concurrency: 2, fleet: 4, rateLimit: { limit: 5, perMs: 60_000 } },
    ],
  ])('%s', (_, declared, given, expected) => {
    expect(merged(declared, given)).toMatchObject(expected);
  });

  it.each<[SluiceQueueModuleOptions, string]>([
    [{ concurrency: { process: 0 } }, 'queue.concurrency.process must be a whole number ≥ 1, got 0'],
    [{ concurrency: { fleet: 1.5 } }, 'queue.concurrency.fleet must be a whole number ≥ 1, got 1.5'],
    [{ concurrency: { perKey: 101 } }, 'queue.concurrency.perKey must be a whole number from 1 to 100'],
    [{ concurrency: { by: '' } }, 'queue.concurrency.by must be the name of a member'],
    [{ concurrency: [] as object }, 'queue.concurrency must be'],
    [{ rateLimit: { limit: 0 } }, 'queue.rateLimit.limit must be a whole number ≥ 1, got 0'],
    [{ rateLimit: { limit: 2 ** 32 } }, 'queue.rateLimit.limit must be a whole number from 1 to 4294967295'],
    [{ rateLimit: { perMs: 0 } }, 'queue.rateLimit.perMs must be a number of milliseconds from 1'],
    [{ rateLimit: { by: String } as object }, 'queue.rateLimit.by must be the name of a member of payloads'],
    [{ rateLimit: 5 as never }, 'queue.rateLimit must be'],
  ])('refuses %j', (options, message) => {
    expect(() => resolveQueueOptions(options)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) }),
    );
  });

  it.each<[HandlerOptions, string]>([
    [
      { rateLimit: { limit: 5 } },
      "rateLimit of queue 'mails' has no perMs: give it in @TaskHandler or in queue.handlers['mails']",
    ],
    [{ rateLimit: { perMs: 5 } }, "rateLimit of queue 'mails' has no limit"],
  ])('refuses a rate of which a half is missing: %j', (declared, message) => {
    expect(() => merged(declared)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) }),
    );
  });
});

describe('limits of the fleet of named tasks', () => {
  const stream = '{files}.import';

  it('belong to each name', () => {
    expect(merged({ concurrency: { process: 2, fleet: 3 } }, undefined, stream)).toMatchObject({
      concurrency: 2,
      fleet: 3,
    });
    const handlers = { 'files.import': { rateLimit: { limit: 1, perMs: 5 } } };
    expect(merged({}, { handlers }, stream, true)).toMatchObject({ rateLimit: { limit: 1, perMs: 5 } });
    expect(merged({}, { rateLimit: { limit: 1, perMs: 5 } }, stream, true)).toMatchObject({ rateLimit: { limit: 1 } });
  });

  it.each<[HandlerOptions, SluiceQueueModuleOptions, string]>([
    [
      { rateLimit: { limit: 1, perMs: 5 } },
      {},
      "@TaskHandler on all of 'files': rateLimit: each named task has limits of its own",
    ],
    [
      { concurrency: { fleet: 5 } },
      {},
      "concurrency.fleet: each named task has limits of its own. Use queue.handlers['files.import']",
    ],
    [
      {},
      { handlers: { files: { rateLimit: { limit: 1, perMs: 5 } } } },
      'queue.handlers.files: rateLimit: each named task',
    ],
    [
      {},
      { handlers: { files: { concurrency: { fleet: 5 } } } },
      'queue.handlers.files: concurrency.fleet: each named task',
    ],
  ])('are refused for all names together: %j, %j', (declared, given, message) => {
    expect(() => merged(declared, given, stream, true)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) }),
    );
  });

  it('for all names together, only the places in one process are given', () => {
    const handlers = { files: { concurrency: { process: 4 } } };
    expect(merged({ concurrency: { process: 3 } }, { handlers }, stream, true)).toMatchObject({ concurrency: 4 });
  });
});
