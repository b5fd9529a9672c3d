import { expect, it } from '@jest/globals';
import { until } from './until.js';

it('returns the first truthy answer', async () => {
  const answers = [false, undefined, 0, 'here', 'late'];
  expect(await until(() => answers.shift(), { what: 'it is here', everyMs: 1 })).toBe('here');
  expect(answers).toEqual(['late']);
});

it('names what it waited for past the deadline', async () => {
  await expect(until(() => 0, { what: 'pigs fly', deadlineMs: 30, everyMs: 1 })).rejects.toThrow(
    'waited 30 ms until pigs fly; the last answer was 0',
  );
});

it('ends at once with an error of the condition', async () => {
  const error = new Error('broken');
  await expect(until(() => Promise.reject(error), { what: 'never' })).rejects.toBe(error);
});
