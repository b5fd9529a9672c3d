import { expect, it } from '@jest/globals';
import { DecodedCopies } from './decoded-copies.js';

it('refuses a revive that returns a promise, and takes its rejection', async () => {
  const revive = (): Promise<never> => Promise.reject(new Error('not valid'));
  expect(() => new DecodedCopies('{}', revive)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
  // An unhandled rejection would end the process here.
  await new Promise((resolve) => setImmediate(resolve));
});

it('refuses a revive that returns a promise of another library', () => {
  let taken: unknown;
  const revive = (): object => ({
    then: (_resolved: unknown, rejected: unknown) => (taken = rejected),
  });
  expect(() => new DecodedCopies('{}', revive)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
  expect(taken).toEqual(expect.any(Function));
});
