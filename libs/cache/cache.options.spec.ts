import { describe, expect, it } from '@jest/globals';
import { resolveCacheOptions, resolveLayer, resolveLeaseLayer, resolveSetLayer } from './cache.options.js';
import { AGE_MAX_MS } from '../weave/index.js';
import { loadOptions, ttlOf } from './load-options.js';

const bad = (path: string) =>
  expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(path) });

describe('cache options', () => {
  it('have their defaults', () => {
    expect(resolveCacheOptions(undefined)).toEqual({
      connection: undefined,
      leaseMs: 3_000,
      readTimeoutMs: 250,
      local: { maxEntries: 10_000, maxBytes: 32 * 1024 * 1024, tracking: false },
      packFrom: Infinity,
      methods: new Map(),
      loads: {},
    });
    expect(loadOptions({})).toEqual({
      ttlMs: 60_000,
      staleMs: 0,
      softTimeoutMs: 0,
      jitter: 0.1,
      earlyRefresh: 1,
      negativeTtlMs: 60_000,
      errorBackoffMs: 1_000,
      loaderTimeoutMs: 60_000,
      local: true,
      revive: undefined,
      unless: undefined,
      maxConcurrentLoads: 0,
      source: '',
      tags: [],
      resultTags: undefined,
      consistency: 'bounded',
      version: undefined,
      onBackendDown: 'load',
    });
  });

  it('are taken from the strongest layer that says something', () => {
    const { loads, methods } = resolveCacheOptions({
      ttlMs: 1,
      errorBackoffMs: 0,
      methods: { 'Shop.user': { ttlMs: 3, loaderTimeoutMs: 4 } },
    });
    expect(loadOptions(loads, { ttlMs: 2, loaderTimeoutMs: 5 }, methods.get('Shop.user') ?? {})).toMatchObject({
      ttlMs: 3,
      negativeTtlMs: 3,
      errorBackoffMs: 0,
      loaderTimeoutMs: 4,
    });
  });

  it('keep nothing as long as anything, unless told otherwise anywhere', () => {
    expect(loadOptions({}, { ttlMs: 7 }).negativeTtlMs).toBe(7);
    const options = loadOptions({ negativeTtlMs: 2 }, { ttlMs: 7 });
    expect([null, undefined, 0, ''].map((value) => ttlOf(value, options, () => 0))).toEqual([2, 2, 7, 7]);
  });

  it('shorten the time at random, by no more than the jitter', () => {
    const options = loadOptions({ ttlMs: 1_000, jitter: 0.2 });
    expect([0, 0.5, 1].map((drawn) => ttlOf('v', options, () => drawn))).toEqual([1_000, 900, 800]);
    expect(ttlOf('v', loadOptions({ ttlMs: 1, jitter: 1 }), () => 1)).toBe(1);
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
    [{ staleMs: -1 }, 'cache.staleMs'],
    [{ softTimeoutMs: -1 }, 'cache.softTimeoutMs'],
    [{ jitter: 1.1 }, 'cache.jitter'],
    [{ earlyRefresh: -1 }, 'cache.earlyRefresh'],
    [{ maxConcurrentLoads: 0 }, 'cache.maxConcurrentLoads'],
    [{ consistency: 'eventual' }, 'cache.consistency'],
    [{ version: '' }, 'cache.version'],
    [{ version: '\ud800' }, 'cache.version'],
    [{ onBackendDown: 'fail' }, 'cache.onBackendDown'],
    [{ tags: ['a'] }, 'cache.tags is not an option'],
    [{ methods: { 'Shop.user': { tags: 'a' } } }, "cache.methods['Shop.user'].tags"],
    [{ methods: { 'Shop.user': { resultTags: ['a'] } } }, "cache.methods['Shop.user'].resultTags"],
    [{ methods: { 'Shop.user': { ttlMs: -1 } } }, "cache.methods['Shop.user'].ttlMs"],
    [{ methods: { 'Shop.user': { key: () => 'k' } } }, "cache.methods['Shop.user'].key is not an option"],
    ['60s', 'cache must be'],
  ])('refuse %j, naming it', (given, path) => {
    expect(() => resolveCacheOptions(given as never)).toThrow(bad(path));
  });

  it('refuse what does nothing where it stands', () => {
    for (const name of ['softTimeoutMs', 'earlyRefresh', 'loaderTimeoutMs', 'errorBackoffMs', 'resultTags', 'unless']) {
      expect(() => resolveSetLayer('here', { [name]: undefined })).toThrow(bad(`here.${name} is not an option`));
    }
    expect(() => resolveLeaseLayer('here', { earlyRefresh: 1 })).toThrow(bad('here.earlyRefresh is not an option'));
  });

  it('leave out what a layer does not say', () => {
    expect(resolveLayer('here', { ttlMs: undefined })).toEqual({});
    expect(() => resolveLayer('here', { ttlMs: null })).toThrow(bad('here.ttlMs'));
  });

  it.each<[string, () => unknown]>([
    ['the module', () => resolveCacheOptions({ consistency: 'strict', local: true })],
    ['the module, by limits', () => resolveCacheOptions({ consistency: 'strict', local: { maxEntries: 5 } })],
    ['one place', () => resolveLayer('x', { consistency: 'strict', local: true })],
    ['a stronger place than the strict one', () => loadOptions({ consistency: 'strict' }, { local: true })],
  ])('refuse local copies under strict: %s', (_where, ask) => {
    expect(ask).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
  });

  it('have local copies unless told otherwise, or strict by the stronger word', () => {
    expect(loadOptions().local).toBe(true);
    expect(loadOptions({ local: false }).local).toBe(false);
    expect(loadOptions({ local: false }, { local: true }).local).toBe(true);
    expect(loadOptions({ local: true }, { consistency: 'strict' }).local).toBe(false);
    expect(loadOptions({ consistency: 'strict' }, { consistency: 'bounded' }).local).toBe(true);
    expect(loadOptions(resolveCacheOptions({ local: false }).loads).local).toBe(false);
  });

  it('limit the local tier and pack long texts', () => {
    expect(resolveCacheOptions({ local: false }).local).toBeUndefined();
    expect(resolveCacheOptions({ local: { maxEntries: 5 } }).local).toMatchObject({
      maxEntries: 5,
      maxBytes: 33_554_432,
    });
    expect(() => resolveCacheOptions({ local: { maxBytes: 0 } })).toThrow('cache.local.maxBytes must be');
    expect(resolveCacheOptions({ compression: true }).packFrom).toBe(4_096);
    expect(resolveCacheOptions({ compression: { threshold: 100 } }).packFrom).toBe(100);
    expect(resolveCacheOptions({ compression: false }).packFrom).toBe(Infinity);
  });
});

describe('lifetimes', () => {
  it.each(['ttlMs', 'staleMs', 'negativeTtlMs'])('%s takes a year, and Infinity', (name) => {
    expect(resolveLayer('o', { [name]: 31_536_000_000 })).toMatchObject({ [name]: 31_536_000_000 });
    expect(resolveLayer('o', { [name]: Infinity })).toMatchObject({ [name]: AGE_MAX_MS });
    for (const value of [-1, NaN, -Infinity, AGE_MAX_MS + 1, '5', null, 5n]) {
      expect(() => resolveLayer('o', { [name]: value })).toThrow(bad(`o.${name}`));
    }
  });

  it('are drawn as numbers, however long', () => {
    const forever = loadOptions(resolveLayer('o', { ttlMs: Infinity, staleMs: Infinity }));
    expect(ttlOf('v', forever, () => 1)).toBe(Math.round(AGE_MAX_MS * 0.9));
  });
});

describe('onBackendDown', () => {
  const copies = { onBackendDown: { local: { maxAgeMs: 5_000 } } };

  it('takes an age of copies', () => {
    expect(loadOptions(resolveCacheOptions(copies).loads).onBackendDown).toBe(5_000);
    expect(loadOptions(resolveLayer('o', copies), { onBackendDown: 'throw' }).onBackendDown).toBe('throw');
    for (const given of [
      {},
      { local: {} },
      { local: { maxAgeMs: -1 } },
      { local: true },
      { local: { maxAgeMs: 1, x: 1 } },
      'local',
      5,
      null,
    ]) {
      expect(() => resolveLayer('o', { onBackendDown: given })).toThrow(bad('o.onBackendDown'));
    }
  });

  it('asks for copies only where there are some', () => {
    for (const off of [{ local: false }, { consistency: 'strict' }] as const) {
      expect(() => resolveLayer('o', { ...off, ...copies })).toThrow(bad('o.onBackendDown'));
      expect(() => resolveCacheOptions({ ...off, ...copies })).toThrow(bad('cache.onBackendDown'));
      const asked = resolveLayer('o', copies);
      expect(loadOptions(asked, off).onBackendDown).toBe('load');
      expect(() => loadOptions(off, asked)).toThrow(bad('cache.onBackendDown'));
    }
  });
});
