import { expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { Keyspace, RedisUnavailableError } from '../../redis/index.js';
import { GiveBack } from './release-retries.js';
import { lockKeys } from '../store/lock.keys.js';

it('leaves alone what is waited for again', async () => {
  const clock = new ManualClock();
  let tries = 0;
  const unanswered = (): Promise<never> => {
    tries++;
    return Promise.reject(new RedisUnavailableError('no answer', 'unknown'));
  };
  const giveBack = new GiveBack(clock, unanswered, (error) => {
    throw error;
  });
  giveBack.add({ keys: lockKeys(new Keyspace(), 'x'), nonce: 'n', owner: 'o' }, 30_000);
  await clock.pass(500);
  expect(tries).toBeGreaterThan(1);
  const tried = tries;
  giveBack.keep('n');
  await clock.pass(10_000);
  expect(tries).toBe(tried);
  await giveBack.stop();
});

it('gives back once more what was granted once more while it was given back', async () => {
  const clock = new ManualClock();
  const releases: (() => void)[] = [];
  const giveBack = new GiveBack(
    clock,
    () => new Promise<void>((resolve) => releases.push(resolve)),
    (error) => {
      throw error;
    },
  );
  const identity = { keys: lockKeys(new Keyspace(), 'x'), nonce: 'n', owner: 'o' };
  giveBack.add(identity, 30_000);
  giveBack.add(identity, 30_000);
  await clock.pass(0);
  expect(releases).toHaveLength(1);
  releases[0]!();
  await clock.pass(0);
  expect(releases).toHaveLength(2);
  releases[1]!();
  await giveBack.stop();
  expect(releases).toHaveLength(2);
});
