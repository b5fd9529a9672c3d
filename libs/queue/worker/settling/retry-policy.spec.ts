import { describe, expect, it } from '@jest/globals';
import { SluiceError } from '../../../weave/index.js';
import { resolveBackoff, type Backoff } from '../../task/backoff.js';
import { DeadLetterTask, DropTask, RetryTask, SnoozeTask } from '../../control-flow.js';
import { mergeHandlerOptions, type HandlerOptions } from '../../handler.options.js';
import { resolveQueueOptions } from '../../queue.options.js';
import type { FailedRun } from '../../task/delivery.js';
import { decide, type Disposition } from './retry-policy.js';

const NOW = 1_800_000_000_000;

function disposition(
  thrown: unknown,
  run: Partial<FailedRun> = {},
  declared: HandlerOptions = {},
  random = 0.5,
): Disposition {
  const options = mergeHandlerOptions({ name: 'q' }, { backoff: 100, ...declared }, resolveQueueOptions({}), 'group');
  const failed = { thrown, retryCount: 0, maxAttempts: undefined, defers: 0, deferredMs: undefined, ...run };
  return decide(failed, { options, wallMs: NOW, random: () => random });
}

const delays = (backoff: Backoff, random = 1): number[] =>
  [1, 2, 3, 4].map((attempt) => resolveBackoff(backoff)(attempt, new Error(), () => random));

describe('the reason of a dead letter', () => {
  it.each<[unknown, string]>([
    ['spam', 'spam'],
    ['', 'dead-letter'],
    [' ', 'dead-letter'],
    [undefined, 'dead-letter'],
    [['to must be an email', 'body is empty'], 'to must be an email,body is empty'],
    [new Error('no such user'), 'no such user'],
    [Symbol('odd'), 'Symbol(odd)'],
    [{ toString: () => 7 as unknown as string }, '7'],
    [
      {
        toString: () => {
          throw new Error('hostile');
        },
      },
      'dead-letter',
    ],
    ['x'.repeat(5_000), 'x'.repeat(1_024)],
  ])('of %p is %p', (given, reason) => {
    expect(disposition(new DeadLetterTask(given as string))).toEqual({ kind: 'dead', retryCount: 1, reason });
    // The class of another copy of the package may take anything.
    const foreign = Object.assign(new SluiceError('SLUICE_TASK_DEAD_LETTER', ''), { reason: given });
    expect(disposition(foreign)).toEqual({ kind: 'dead', retryCount: 1, reason });
  });
});

describe('a delay that a handler asks for', () => {
  it.each([undefined, null, NaN, -5, '5000', Infinity, 1e22, {}])('of %p is none: the run has failed', (delayMs) => {
    for (const code of ['SLUICE_TASK_SNOOZE', 'SLUICE_TASK_RETRY'] as const) {
      const thrown = Object.assign(new SluiceError(code, ''), { delayMs });
      expect(disposition(thrown)).toEqual({ kind: 'again', retryCount: 1, delayMs: 100 });
      expect(disposition(thrown, { retryCount: 2 })).toMatchObject({ kind: 'dead', reason: 'max-attempts' });
    }
  });
});

describe('backoff', () => {
  it.each<[string, Backoff, number[]]>([
    ['a number', 50, [50, 50, 50, 50]],
    ['a list, whose last number goes on', [1, 20, 300], [1, 20, 300, 300]],
    ['exponential', { type: 'exponential', baseMs: 10, maxMs: 35 }, [10, 20, 35, 35]],
    [
      'exponential up to 60 times the base',
      { type: 'exponential', baseMs: 120_000 },
      [120_000, 240_000, 480_000, 960_000],
    ],
    ['a function', (attempt) => attempt * 7, [7, 14, 21, 28]],
  ])('is %s', (_what, backoff, expected) => {
    expect(delays(backoff)).toEqual(expected);
  });

  it('is exponential with full jitter where nothing is said', () => {
    const draw = (attempt: number, random: number): number => resolveBackoff(undefined)(attempt, null, () => random);
    expect([draw(1, 0), draw(1, 1), draw(3, 0.5), draw(7, 1), draw(1_000, 1)]).toEqual([
      0, 1_000, 2_000, 60_000, 60_000,
    ]);
  });

  it('gets what was thrown', () => {
    const error = new Error('x');
    const seen: unknown[] = [];
    disposition(error, { retryCount: 1 }, { backoff: (...args) => seen.push(...args) });
    expect(seen).toEqual([2, error]);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new RangeError('mine');
      },
    ],
    ['answers no number', () => Promise.resolve(1)],
    ['answers NaN', () => NaN],
    ['answers a negative number', () => -1],
  ])('of a user that %s is replaced by the default, and told', (_what, wrong) => {
    expect(disposition(new Error(), {}, { backoff: wrong as () => number })).toEqual({
      ...{ kind: 'again', retryCount: 1, delayMs: 500, backoffError: expect.any(Error) },
    });
  });
});

describe('the verdict', () => {
  it('of an error is a retry with backoff, until the attempts are used up', () => {
    expect(disposition(new Error())).toEqual({ kind: 'again', retryCount: 1, delayMs: 100 });
    expect(disposition(new Error(), { retryCount: 1 })).toEqual({ kind: 'again', retryCount: 2, delayMs: 100 });
    expect(disposition(undefined, { retryCount: 2 })).toEqual({ kind: 'dead', retryCount: 3, reason: 'max-attempts' });
  });

  it('goes by the attempts of the task rather than the handler', () => {
    expect(disposition(new Error(), { maxAttempts: 1 })).toMatchObject({ kind: 'dead', reason: 'max-attempts' });
    expect(disposition(new Error(), { maxAttempts: 4, retryCount: 2 })).toMatchObject({ kind: 'again' });
  });

  it('of RetryTask is a retry with its own delay, and costs an attempt', () => {
    expect(disposition(new RetryTask({ delayMs: 7 }))).toEqual({ kind: 'again', retryCount: 1, delayMs: 7 });
    expect(disposition(new RetryTask())).toEqual({ kind: 'again', retryCount: 1, delayMs: 100 });
    expect(disposition(new RetryTask({ delayMs: 7 }), { retryCount: 2 })).toMatchObject({ kind: 'dead' });
  });

  it('of SnoozeTask costs no attempt, however often', () => {
    const snooze = new SnoozeTask({ delayMs: 9 });
    expect(disposition(snooze, { retryCount: 2 })).toEqual({ kind: 'again', retryCount: 2, delayMs: 9 });
    expect(disposition(snooze, { deferredMs: 1, defers: 5 })).toEqual({ kind: 'again', retryCount: 0, delayMs: 9 });
  });

  it('of DropTask is done; of DeadLetterTask dead at once', () => {
    expect(disposition(new DropTask())).toEqual({ kind: 'done' });
    expect(disposition(new DeadLetterTask('card expired'))).toEqual({
      kind: 'dead',
      retryCount: 1,
      reason: 'card expired',
    });
  });

  it('is made by brand and code: an error of another copy of this package counts as well', () => {
    const foreign = Object.assign(new SluiceError('SLUICE_TASK_SNOOZE', ''), { delayMs: 3 });
    expect(disposition(foreign)).toEqual({ kind: 'again', retryCount: 0, delayMs: 3 });
    expect(disposition(Object.assign(new Error(), { code: 'SLUICE_TASK_DROP' }))).toMatchObject({ kind: 'again' });
  });

  it.each([
    'SLUICE_LOCK_TIMEOUT',
    'SLUICE_RATE_LIMITED',
    'SLUICE_REDIS_UNAVAILABLE',
    'SLUICE_PUBLISH_UNCONFIRMED',
    'SLUICE_NEWER_DATA',
  ] as const)('of %s costs no attempt, backs off from 1 s to 60 s, and ends after maxDeferMs', (code) => {
    const error = new SluiceError(code, '');
    const again = (defers: number, random: number): Disposition =>
      disposition(error, { defers, deferredMs: defers === 0 ? undefined : NOW - 5, retryCount: 2 }, {}, random);
    expect(again(0, 0.5)).toEqual({
      ...{ kind: 'again', retryCount: 2, delayMs: 1_000, deferral: { defers: 1, deferredMs: NOW } },
    });
    expect(again(3, 1)).toMatchObject({ delayMs: 8_500, deferral: { defers: 4, deferredMs: NOW - 5 } });
    expect(again(50, 1)).toMatchObject({ delayMs: 60_000 });
    expect(disposition(error, { defers: 9, deferredMs: NOW - 24 * 3_600_000 })).toEqual({
      ...{ kind: 'dead', retryCount: 0, reason: 'max-defer' },
    });
    expect(disposition(error, {}, { maxDeferMs: 0 })).toMatchObject({ kind: 'dead', reason: 'max-defer' });
  });

  it('of a rate limit costs no attempt, and waits until there is room, if there ever is', () => {
    const limited = (retryAfterMs: number): Disposition =>
      disposition(Object.assign(new SluiceError('SLUICE_RATE_LIMITED', ''), { retryAfterMs }), { retryCount: 2 });
    expect(limited(90_000)).toEqual({
      ...{ kind: 'again', retryCount: 2, delayMs: 90_000, deferral: { defers: 1, deferredMs: NOW } },
    });
    expect(limited(Infinity)).toMatchObject({ kind: 'again', retryCount: 2, delayMs: 1_000 });
  });

  it('of a lock that was lost costs an attempt', () => {
    expect(disposition(new SluiceError('SLUICE_LOCK_LOST', ''))).toMatchObject({ kind: 'again', retryCount: 1 });
  });
});

describe('control flow errors', () => {
  it.each([NaN, -1, Infinity, '5'])('refuse %p as a delay', (delayMs) => {
    for (const make of [RetryTask, SnoozeTask]) {
      expect(() => new make({ delayMs: delayMs as number })).toThrow(
        expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }),
      );
    }
  });
});
