import { expect, it } from '@jest/globals';
import { until } from '../../../test/support/until.js';
import { systemClock } from './clock.js';

it('waits for an instant that is further than what a timer holds', async () => {
  let fired = 0;
  const cancels = [2 ** 31, 2 ** 53, Infinity].map((ms) => systemClock.timer(ms, () => fired++));
  let usual = false;
  systemClock.timer(20, () => (usual = true));
  await until(() => usual, { what: 'a short timer fired' });
  expect(fired).toBe(0);
  for (const cancel of cancels) cancel();
});
