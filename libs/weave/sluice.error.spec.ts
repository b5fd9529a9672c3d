import { describe, expect, it } from '@jest/globals';
import { isSluiceError, SluiceError } from './index.js';

class DerivedError extends SluiceError {}

/** The error as the other copy of the package (CommonJS beside ESM) would make it: same brand, another class. */
function fromAnotherCopy(code: string): Error {
  const error = Object.assign(new Error('elsewhere'), { code });
  return Object.defineProperty(error, Symbol.for('sluice:error'), { value: true });
}

describe('SluiceError', () => {
  it('carries code, message, cause and the name of its class', () => {
    const cause = new Error('socket closed');
    const error = new DerivedError('SLUICE_LOCK_LOST', 'lost', { cause });
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code: 'SLUICE_LOCK_LOST', message: 'lost', cause, name: 'DerivedError' });
    expect(error.stack).toContain('sluice.error.spec');
  });

  it('shows nothing of its brand', () => {
    const error = new SluiceError('SLUICE_X', 'x');
    expect(Object.keys(error).sort()).toEqual(['code', 'name']);
    expect(Object.getOwnPropertySymbols({ ...(error as object) })).toEqual([]);
  });
});

describe('isSluiceError', () => {
  it.each<[string, unknown, boolean]>([
    ['one of ours', new SluiceError('SLUICE_X', 'x'), true],
    ['a derived one', new DerivedError('SLUICE_X', 'x'), true],
    ['one of another copy of the package', fromAnotherCopy('SLUICE_X'), true],
    ['ours, with another code', new SluiceError('SLUICE_Y', 'y'), false],
    ['a foreign error with our code', Object.assign(new Error('x'), { code: 'SLUICE_X' }), false],
    ['undefined', undefined, false],
    ['null', null, false],
    ['text', 'SLUICE_X', false],
  ])('%s', (_title, error, expected) => {
    expect(isSluiceError(error, 'SLUICE_X')).toBe(expected);
  });

  it('without a code knows every one of ours', () => {
    expect(
      [new SluiceError('SLUICE_Y', 'y'), fromAnotherCopy('SLUICE_Z'), new Error('x')].map((e) => isSluiceError(e)),
    ).toEqual([true, true, false]);
  });
});
