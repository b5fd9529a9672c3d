import { expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { Keyspace, RedisUnavailableError } from '../../redis/index.js';
import { ReleaseRetries } from './release-retries.js';
import { lockKeys } from '../store/lock.keys.js';

const onError = (error: unknown): never => {
  throw error;
};

it('does not release what a call waits for again', async () => {
  const clock = new ManualClock();
  let tries = 0;
  const unanswered = (): Promise<never> => {
    tries++;
    return Promise.reject(new RedisUnavailableError('no answer', 'unknown'));
  };
  const releaseRetries = new ReleaseRetries(clock, { releaseNow: unanswered, onError });
  releaseRetries.add({ keys: lockKeys(new Keyspace(), 'x'), nonce: 'n', owner: 'o' }, 30_000);
  await clock.pass(500);
  expect(tries).toBeGreaterThan(1);
  const tried = tries;
  releaseRetries.keep('n');
  await clock.pass(10_000);
  expect(tries).toBe(tried);
  await releaseRetries.stop();
});

it('releases again what was granted again during its release', async () => {
  const clock = new ManualClock();
  const releases: (() => void)[] = [];
  const releaseNow = (): Promise<void> => new Promise((resolve) => releases.push(resolve));
  const releaseRetries = new ReleaseRetries(clock, { releaseNow, onError });
  const identity = { keys: lockKeys(new Keyspace(), 'x'), nonce: 'n', owner: 'o' };
  releaseRetries.add(identity, 30_000);
  releaseRetries.add(identity, 30_000);
  await clock.pass(0);
  expect(releases).toHaveLength(1);
  releases[0]!();
  await clock.pass(0);
  expect(releases).toHaveLength(2);
  releases[1]!();
  await releaseRetries.stop();
  expect(releases).toHaveLength(2);
});
