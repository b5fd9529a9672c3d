import { beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { Keyspace, RedisUnavailableError, type Link } from '../../redis/index.js';
import { queueKeys } from '../store/queue.keys.js';
import { Delivery } from '../task/delivery.js';
import type { EventSender } from './event-sender.js';
import { ProgressReporter } from './progress-reporter.js';

const REPLY = 'host:7:abc-0123456789ab a-token-of-22-charact_ 600000 sluice';
let clock: ManualClock;
let warned: string[];
/** The arguments of each call. */
let calls: string[][];
let error: Error | undefined;
let reporter: ProgressReporter;
beforeEach(() => {
  clock = new ManualClock();
  [warned, calls, error] = [[], [], undefined];
  const send = (command: string, args: string[]): Promise<unknown> => {
    calls.push([command, ...args.map(String)]);
    return error ? Promise.reject(error) : Promise.resolve(1);
  };
  reporter = new ProgressReporter({
    ...{ link: { send, slots: {} } as unknown as Link, clock, keys: queueKeys(new Keyspace(), 'tasks') },
    ...{ queue: 'tasks', group: 'sluice', inboxes: ':~inbox:0:' },
    sender: { progress: () => {} } as unknown as EventSender,
    log: { warn: (message) => void warned.push(message) },
  });
});

const delivery = (n: number, meta = ''): Delivery =>
  new Delivery('tasks', { id: `${n}-1`, fields: ['payload', '1', 'meta', meta], deliveries: 1 }, 0);
const sent = (command: string): string[][] => calls.filter(([name]) => name === command);

describe('ProgressReporter', () => {
  it('sends the newest value of each task, ten times a second', async () => {
    const tasks = [delivery(1), delivery(2)];
    for (let i = 0; i < 1_000; i++) {
      for (const each of tasks) reporter.report(each, i);
      await clock.pass(1);
    }
    const scripts = sent('evalsha');
    expect(scripts.length).toBeGreaterThanOrEqual(9);
    expect(scripts.length).toBeLessThanOrEqual(11);
    await clock.pass(100);
    expect(sent('evalsha').at(-1)?.slice(-6)).toEqual(['999', '', '1-1', '999', '', '2-1']);
    expect(clock.timers).toBe(0);
  });

  it('sends the last value of a run that has succeeded only to a publisher that waits', async () => {
    const [alone, awaited] = [delivery(1), delivery(2, JSON.stringify({ reply: REPLY }))];
    for (const each of [alone, awaited]) {
      reporter.report(each, 'last');
      reporter.ended(each, false);
    }
    expect(sent('evalsha')).toHaveLength(1);
    expect(sent('evalsha')[0]?.slice(-3)).toEqual(['"last"', JSON.stringify({ reply: REPLY }), '2-1']);
    await clock.pass(1_000);
    expect(sent('evalsha')).toHaveLength(1);
  });

  it('keeps the value of a run that has failed, and deletes that of a task that is done', async () => {
    const [failed, done] = [delivery(1), delivery(2)];
    for (const each of [failed, done]) reporter.report(each, 'last');
    reporter.ended(failed, true);
    await clock.pass(100);
    expect(sent('evalsha')).toHaveLength(1);
    failed.endedAs = 'failed';
    done.endedAs = 'completed';
    reporter.settled([failed, done, delivery(3)]);
    expect(sent('unlink')).toHaveLength(1);
    expect(sent('unlink')[0]).toHaveLength(2);
    reporter.settled([failed, done]);
    expect(sent('unlink')).toHaveLength(1);
  });

  it.each<[string, Error, number]>([
    ['is not said while Redis is away', new RedisUnavailableError('down', 'not-sent'), 0],
    ['is said once a minute if Redis refuses', new Error('WRONGTYPE'), 1],
    ['is said once a minute without the right', new RedisUnavailableError('no', 'unknown', { refusal: 'NOPERM' }), 1],
  ])('what could not be sent %s', async (_, thrown, times) => {
    error = thrown;
    for (let i = 0; i < 50; i++) {
      reporter.report(delivery(i), i);
      await clock.pass(1_000);
    }
    expect(warned).toHaveLength(times);
  });

  it('sends what waits when the app stops, and nothing after', async () => {
    reporter.report(delivery(1), 1);
    reporter.close();
    expect(sent('evalsha')).toHaveLength(1);
    reporter.report(delivery(1), 2);
    await clock.pass(1_000);
    expect(sent('evalsha')).toHaveLength(1);
  });
});
