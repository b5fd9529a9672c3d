import { describe, expect, it } from '@jest/globals';
import { loadOptions, resolveCacheOptions, resolveLayer, ttlOf } from './cache.options.js';

const bad = (path: string) =>
  expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(path) });

describe('cache options', () => {
  it('have their defaults', () => {
    expect(resolveCacheOptions(undefined)).toEqual({
      connection: undefined,
      leaseMs: 3_000,
      readTimeoutMs: 250,
      methods: new Map(),
      loads: {},
    });
    expect(loadOptions({})).toEqual({
      ttlMs: 60_000,
      negativeTtlMs: 60_000,
      errorBackoffMs: 1_000,
      loaderTimeoutMs: 60_000,
    });
  });

  it('are taken from the strongest layer that says something', () => {
    const { loads, methods } = resolveCacheOptions({
      ttlMs: 1,
      errorBackoffMs: 0,
      methods: { 'Shop.user': { ttlMs: 3, loaderTimeoutMs: 4 } },
    });
    expect(loadOptions(loads, { ttlMs: 2, loaderTimeoutMs: 5 }, methods.get('Shop.user') ?? {})).toEqual({
      ttlMs: 3,
      negativeTtlMs: 3,
      errorBackoffMs: 0,
      loaderTimeoutMs: 4,
    });
  });

  it('keep nothing as long as anything, unless told otherwise anywhere', () => {
    expect(loadOptions({}, { ttlMs: 7 }).negativeTtlMs).toBe(7);
    const options = loadOptions({ negativeTtlMs: 2 }, { ttlMs: 7 });
    expect([null, undefined, 0, ''].map((value) => ttlOf(value, options))).toEqual([2, 2, 7, 7]);
  });

  it.each<[unknown, string]>([
    [{ ttl: 5 }, 'cache.ttl is not an option'],
    [{ ttlMs: 0 }, 'cache.ttlMs'],
    [{ negativeTtlMs: NaN }, 'cache.negativeTtlMs'],
    [{ errorBackoffMs: -1 }, 'cache.errorBackoffMs'],
    [{ loaderTimeoutMs: '5s' }, 'cache.loaderTimeoutMs'],
    [{ leaseMs: 5 }, 'cache.leaseMs'],
    [{ readTimeoutMs: 0 }, 'cache.readTimeoutMs'],
    [{ connection: '' }, 'cache.connection'],
    [{ methods: 'Shop.user' }, 'cache.methods'],
    [{ methods: { 'Shop.user': { ttlMs: -1 } } }, "cache.methods['Shop.user'].ttlMs"],
    [{ methods: { 'Shop.user': { key: () => 'k' } } }, "cache.methods['Shop.user'].key is not an option"],
    ['60s', 'cache must be'],
  ])('refuse %j, naming it', (given, path) => {
    expect(() => resolveCacheOptions(given as never)).toThrow(bad(path));
  });

  it('leave out what a layer does not say', () => {
    expect(resolveLayer('here', { ttlMs: undefined })).toEqual({});
    expect(() => resolveLayer('here', { ttlMs: null })).toThrow(bad('here.ttlMs'));
  });
});
