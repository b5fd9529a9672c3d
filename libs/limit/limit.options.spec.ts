import { describe, expect, it } from '@jest/globals';
import { KnownLimits } from './deciding/known-limits.js';
import { defineRateLimit } from './index.js';
import { resolveLimitOptions } from './limit-module.options.js';

const one = { limit: 5, perMs: 60_000 };

describe('defineRateLimit', () => {
  it.each<[string, unknown, string]>([
    ['no limit', { perMs: 60_000 }, 'limit must be given'],
    ['a limit of 0', { limit: 0, perMs: 1 }, 'limit must be a whole number from 1'],
    ['a limit above what a counter holds', { limit: 4_294_967_296, perMs: 1 }, 'to 4294967295'],
    ['half a limit', { limit: 1.5, perMs: 1 }, 'limit must be'],
    ['no window', { limit: 5 }, 'either perMs or window'],
    ['two windows', { ...one, window: 'day' }, 'either perMs or window'],
    ['a window of no calendar', { limit: 5, window: 'hour' }, "one of 'day', 'week', 'month'"],
    ['an unknown time zone', { limit: 5, window: 'day', timeZone: 'Mars' }, 'time zone'],
    ['a time zone without a calendar', { ...one, timeZone: 'UTC' }, 'timeZone is for'],
    ['a window of more than 24.8 days', { limit: 5, perMs: 2_147_483_648 }, 'perMs must be'],
    ['a calendar that slides', { limit: 5, window: 'day', algorithm: 'sliding' }, 'fixed window'],
    ['a burst without a bucket', { ...one, burst: 2 }, 'burst is for'],
    ['two algorithms', { ...one, mode: 'pace', algorithm: 'bucket' }, 'leaky bucket'],
    ['a paced burst above the limit', { ...one, mode: 'pace', burst: 6 }, 'burst may not'],
    ['no limits', { limits: {} }, 'limits must be'],
    ['a limit with a dot in its name', { limits: { 'a.b': one } }, 'of letters'],
    ['paced limits among several', { limits: { a: { ...one, mode: 'pace' } } }, 'is not an option'],
    ['an option that does not exist', { ...one, duration: 5 }, 'is not an option'],
    ['no options', undefined, 'limit must be given'],
  ])('refuses %s', (_, options, message) => {
    expect(() => defineRateLimit('x', options as never)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) }),
    );
  });

  it.each(['', 'a.b', 'a{b}', 'a"b', undefined])('refuses the name %p', (name) => {
    expect(() => defineRateLimit(name as never, one)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_NAME' }));
  });
});

describe('the options of the module', () => {
  it.each<[string, unknown]>([
    ['a list of names', { names: [] }],
    ['an unknown option of a name', { names: { x: { max: 5 } } }],
    ['a share of nothing', { fallbackShare: 0 }],
    ['a share above all', { fallbackShare: 1.1 }],
    ['an unknown policy', { onUnavailable: 'open' }],
    ['an unknown option', { throttlers: [] }],
  ])('refuse %s', (_, options) => {
    expect(() => resolveLimitOptions(options as never)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
  });

  it('have defaults', () => {
    expect(resolveLimitOptions(undefined)).toEqual({
      names: {},
      onUnavailable: 'local',
      fallbackShare: 0.25,
      connection: undefined,
      routing: { routes: [], by: 'ip', headers: 'draft' },
    });
  });
});

describe('options by name', () => {
  const api = defineRateLimit('api', {
    limits: { burst: { limit: 2, perMs: 1_000 }, daily: { limit: 10, window: 'day' } },
  });
  const known = (names: Record<string, object>, ref: Parameters<KnownLimits['get']>[0] = api) =>
    new KnownLimits(resolveLimitOptions({ names })).get(ref);

  it('outrank the code, for one limit and for one of several', () => {
    expect(known({ 'api.burst': { limit: 20 }, api: { dryRun: true } })).toMatchObject({
      limits: [20, 10],
      isDryRun: true,
    });
    const login = defineRateLimit('login', one);
    expect(known({ login: { window: 'day', onUnavailable: 'deny' } }, login)).toMatchObject({ onUnavailable: 'deny' });
    expect(known({ login: { window: 'day' } }, login).rules([5], Date.parse('2026-11-29T12:00:00Z'))).toMatchObject([
      { kind: 'c', spanUs: 86_400_000_000 },
    ]);
    expect(known({ login: { mode: 'pace' } }, login)).toMatchObject({ isPaced: true });
  });

  it.each<[string, Record<string, object>, string]>([
    ['a limit that does not exist', { 'api.brust': { limit: 5 } }, "has no limit 'brust'"],
    ['several limits at once', { api: { limit: 5 } }, 'has several limits'],
    ['two windows', { 'api.burst': { algorithm: 'fixed', burst: 2 } }, 'burst is for'],
  ])('refuse %s', (_, names, message) => {
    expect(() => known(names)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) }),
    );
  });
});
