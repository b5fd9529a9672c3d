import { describe, expect, it } from '@jest/globals';
import { coldKey } from './cold-key.js';
import { dailyJob } from './daily-job.js';
import { killedProcess } from './killed-process.js';
import { orders } from './orders.js';
import { speed } from './speed.js';
import type { Step } from './step.js';

/** Good figures, and figures that are wrong together with the claims that must then not hold. */
function judging<Figures extends object>(
  name: string,
  step: Step<Figures>,
  good: Figures,
  wrong: [Partial<Figures>, string[]][],
): void {
  describe(name, () => {
    it('holds with good figures', () => {
      expect(failing(step, good)).toEqual([]);
    });

    it.each(wrong)('does not hold with %j', (figures, claims) => {
      expect(failing(step, { ...good, ...figures })).toEqual(claims);
    });

    it('makes no claim that could not fail', () => {
      const failed = new Set(wrong.flatMap(([, claims]) => claims));
      expect([...failed].sort()).toEqual(
        step
          .judge(good)
          .map(({ claim }) => claim)
          .sort(),
      );
    });
  });
}

function failing<Figures>(step: Step<Figures>, figures: Figures): string[] {
  return step
    .judge(figures)
    .filter(({ holds }) => !holds)
    .map(({ claim }) => claim);
}

judging('a cold key', coldKey, { requests: 100, answered: 100, loads: 1, medianMs: 170, slowestMs: 200 }, [
  [{ loads: 3 }, ['the source is asked once']],
  [{ loads: 0 }, ['the source is asked once']],
  [{ answered: 99 }, ['every request is answered']],
]);

judging(
  'orders',
  orders,
  { placed: 300, accepted: 300, completed: 280, retried: 40, dead: 20, attempts: 380, left: 0, tookMs: 900 },
  [
    [{ completed: 279 }, ['the books balance: completed + dead']],
    [{ accepted: 299 }, ['every order is accepted', 'the books balance: completed + dead']],
    [{ retried: 39 }, ['those that failed once were retried and paid']],
    [{ dead: 21, completed: 279 }, ['those that always fail are dead letters']],
    [{ attempts: 381 }, ['every order was tried as often as it takes']],
    [{ left: 1 }, ['nothing is left in the queue']],
  ],
);

judging('the daily job', dailyJob, { ticks: 5, runs: 5, onceAt: 5, byProcess: { 'app-1': 5 } }, [
  [{ runs: 6, onceAt: 4 }, ['the job ran as often as the clock ticked', 'ticks at which it ran exactly once']],
  // Twice at one tick and not at all at another.
  [{ onceAt: 3 }, ['ticks at which it ran exactly once']],
]);

judging(
  'a killed process',
  killedProcess,
  {
    accepted: 120,
    completed: 120,
    dead: 0,
    left: 0,
    killed: 'app-2',
    inFlight: 10,
    recoveredMs: 5_900,
    answersAgain: 200,
  },
  [
    [{ completed: 119 }, ['nothing is lost: completed']],
    [{ accepted: 119, completed: 119 }, ['every order is accepted']],
    [{ inFlight: 0 }, ['it was killed in mid-work: orders in flight']],
    [{ recoveredMs: null }, ['what it was doing is finished elsewhere']],
    [{ recoveredMs: 15_001 }, ['what it was doing is finished elsewhere']],
    [{ dead: 1 }, ['nothing is blamed for it: dead letters']],
    [{ left: 1 }, ['nothing is left in the queue']],
    [{ answersAgain: 0 }, ['the process is back and answers']],
  ],
);

judging('speed', speed, { lockMeanMs: 0.2, tasks: 5_000, handled: 5_000, tasksPerSecond: 20_000 }, [
  [{ handled: 4_999 }, ['every task ran once']],
]);
