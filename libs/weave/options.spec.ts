import { describe, expect, it } from '@jest/globals';
import {
  type Check,
  count,
  durationMs,
  flag,
  fn,
  isSluiceError,
  oneOf,
  optional,
  type OptionChecks,
  resolveOptions,
  text,
} from './index.js';

/** The message of the refusal, which must be a SLUICE_BAD_OPTION. */
function refusal(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    expect(isSluiceError(error, 'SLUICE_BAD_OPTION')).toBe(true);
    return (error as Error).message;
  }
  throw new Error('was not refused');
}

const milliseconds = 'must be a number of milliseconds from 1 to 2147483647';

describe('a check refuses, with path, wish and value', () => {
  it.each<[string, Check<unknown>, unknown, string]>([
    ['zero ms', durationMs(5), 0, `${milliseconds}, got 0`],
    ['negative ms', durationMs(5), -1, `${milliseconds}, got -1`],
    ['NaN ms', durationMs(5), NaN, `${milliseconds}, got NaN`],
    ['endless ms', durationMs(5), Infinity, `${milliseconds}, got Infinity`],
    ['ms beyond a timer', durationMs(5), 2 ** 31, `${milliseconds}, got 2147483648`],
    ['ms as text', durationMs(5), '30s', `${milliseconds}, got '30s'`],
    ['ms below its own floor', durationMs(5, { min: 50 }), 49, 'from 50 to 2147483647, got 49'],
    ['null for ms', durationMs(5), null, `${milliseconds}, got null`],
    ['a count of zero', count(5), 0, 'must be a whole number ≥ 1, got 0'],
    ['a broken count', count(5), 1.5, 'must be a whole number ≥ 1, got 1.5'],
    ['a count beyond integers', count(5), 2 ** 53, 'must be a whole number ≥ 1, got 9007199254740992'],
    ['a count as text', count(5), '3', "must be a whole number ≥ 1, got '3'"],
    ['a count below its own floor', count(5, { min: 0 }), -1, 'must be a whole number ≥ 0, got -1'],
    ['a flag as number', flag(true), 1, 'must be true or false, got 1'],
    ['a flag as text', flag(true), 'true', "must be true or false, got 'true'"],
    ['empty text', text('x'), '', "must be a non-empty string, got ''"],
    ['a number for text', text(), 7, 'must be a non-empty string, got 7'],
    ['another word', oneOf(['a', 'b'], 'a'), 'c', "must be one of 'a', 'b', got 'c'"],
    ['an object for a function', fn(), {}, 'must be a function, got {}'],
    ['a wrong value of an optional', optional(count(1)), 0, 'must be a whole number ≥ 1, got 0'],
  ])('%s', (_title, check, value, message) => {
    const said = refusal(() => check(value, 'lock.x'));
    expect(said).toMatch(/^lock\.x must be /);
    expect(said).toContain(message);
  });

  it('and cuts a long value short', () => {
    expect(refusal(() => count(1)('x'.repeat(500), 'a')).length).toBeLessThan(150);
  });
});

describe('a check takes', () => {
  const handler = (): void => undefined;
  it.each<[string, Check<unknown>, unknown, unknown]>([
    ['the default for ms', durationMs(30_000), undefined, 30_000],
    ['the least ms', durationMs(5), 1, 1],
    ['the most ms', durationMs(5), 2 ** 31 - 1, 2 ** 31 - 1],
    ['zero ms where that is the floor', durationMs(5, { min: 0 }), 0, 0],
    ['a fraction of a ms, rounded up: a lease must not end early', durationMs(5), 0.2 + 1, 2],
    ['the default count', count(10), undefined, 10],
    ['the least count', count(5), 1, 1],
    ['the default flag', flag(true), undefined, true],
    ['false over a default of true', flag(true), false, false],
    ['the default text', text('x'), undefined, 'x'],
    ['no text', text(), undefined, undefined],
    ['a word of the list', oneOf(['a', 'b'], 'a'), 'b', 'b'],
    ['the default word', oneOf(['a', 'b'], 'a'), undefined, 'a'],
    ['a function', fn(), handler, handler],
    ['no function', fn(), undefined, undefined],
    ['nothing for an optional, whatever its default', optional(count(3)), undefined, undefined],
  ])('%s', (_title, check, value, result) => {
    expect(check(value, 'x')).toBe(result);
  });
});

describe('resolveOptions', () => {
  interface Options {
    ttlMs: number;
    owner?: string | undefined;
  }
  const checks: OptionChecks<Options> = { ttlMs: durationMs(30_000), owner: text() };

  it.each([
    ['nothing', undefined, { ttlMs: 30_000 }],
    ['null, as a configuration file has it', null, { ttlMs: 30_000 }],
    ['some', { owner: 'me' }, { ttlMs: 30_000, owner: 'me' }],
    ['an undefined one, as not given', { ttlMs: undefined, owner: undefined }, { ttlMs: 30_000 }],
  ])('fills in the defaults: %s', (_title, given, resolved) => {
    expect(resolveOptions('lock', given, checks)).toStrictEqual(resolved);
  });

  it('freezes the result and leaves what it was given alone', () => {
    const given = { ttlMs: 5 };
    const resolved = resolveOptions('lock', given, checks);
    expect(Object.isFrozen(resolved)).toBe(true);
    expect(resolved).not.toBe(given);
    expect(Object.isFrozen(given)).toBe(false);
  });

  it.each<[string, unknown, string]>([
    ['a typo', { ttlms: 5 }, 'lock.ttlms is not an option; known options: ttlMs, owner. Did you mean ttlMs?'],
    ['a name without its unit', { ttl: 5 }, 'owner. Did you mean ttlMs?'],
    ['a name with a letter too few', { ownr: 'a' }, 'owner. Did you mean owner?'],
    ['the name of another package', { duration: 5 }, 'owner. Did you mean ttlMs?'],
    ['what is no option of anything', { jobId: 'a' }, 'A task gets its id from Redis'],
    ['a name that every object has', { toString: 5 }, 'lock.toString is not an option'],
    ['a wrong value', { ttlMs: 'x' }, `lock.ttlMs ${milliseconds}, got 'x'`],
    ['a number', 5, 'lock must be an options object, such as { ttlMs: 5000 }, got 5'],
    ['text', 'ttlMs', "lock must be an options object, got 'ttlMs'"],
    ['a list', [], 'lock must be an options object, got []'],
    ['a promise', Promise.resolve({ ttlMs: 5 }), 'lock must be an options object, not a promise: await it'],
    ['a promise that fails', Promise.reject(new Error('x')), 'lock must be an options object, not a promise'],
  ])('refuses %s', (_title, given, message) => {
    expect(refusal(() => resolveOptions('lock', given, checks))).toContain(message);
  });

  it.each(['constructor', '__proto__x', 'zzzzzz', 'a', 'x'.repeat(10_000)])('guesses nothing for %.20s', (name) => {
    expect(refusal(() => resolveOptions('lock', { [name]: 5 }, checks))).toMatch(/known options: ttlMs, owner$/);
  });
});
