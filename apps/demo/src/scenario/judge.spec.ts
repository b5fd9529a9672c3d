import { describe, expect, it } from '@jest/globals';
import { backOffice } from './back-office.js';
import { closingTheBooks } from './closing-the-books.js';
import { coldKey } from './cold-key.js';
import { dailyJob } from './daily-job.js';
import { decrement } from './decrement.js';
import { killedProcess } from './killed-process.js';
import { mails } from './mails.js';
import { orders } from './orders.js';
import { parcels } from './parcels.js';
import { rateLimits } from './rate-limits.js';
import { speed } from './speed.js';
import type { Step } from './step.js';
import { tracking } from './tracking.js';
import { webhooks } from './webhooks.js';

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

judging('a cold key', coldKey, { requests: 100, answered: 100, queries: 1, medianMs: 170, slowestMs: 200 }, [
  [{ queries: 3 }, ['the database is asked once']],
  [{ queries: 0 }, ['the database is asked once']],
  [{ answered: 99 }, ['every request is answered']],
]);

judging(
  'orders',
  orders,
  { placed: 300, accepted: 300, completed: 280, paid: 280, retried: 40, dead: 20, attempts: 380, left: 0, tookMs: 900 },
  [
    [{ completed: 279, paid: 279 }, ['the books balance: completed + dead']],
    [{ paid: 281 }, ['every completed order was charged once']],
    [{ accepted: 299 }, ['every order is accepted', 'the books balance: completed + dead']],
    [{ retried: 39 }, ['those that failed once were retried and paid']],
    [{ dead: 21, completed: 279, paid: 279 }, ['those that always fail are dead letters']],
    [{ attempts: 381 }, ['every order was tried as often as it takes']],
    [{ left: 1 }, ['nothing is left in the queue']],
  ],
);

judging('the daily job', dailyJob, { ticks: 5, runs: 5, most: 1, onceAt: 5, byProcess: { 'app-1': 5 } }, [
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
    paid: 120,
    dead: 0,
    left: 0,
    killed: 'app-2',
    inFlight: 10,
    recoveredMs: 5_900,
    answersAgain: 200,
  },
  [
    [{ completed: 119, paid: 119 }, ['nothing is lost: completed']],
    [{ paid: 121 }, ['nobody pays twice: charges']],
    [{ accepted: 119, completed: 119, paid: 119 }, ['every order is accepted']],
    [{ inFlight: 0 }, ['it was killed in mid-work: orders in flight']],
    [{ recoveredMs: null }, ['what it was doing is finished elsewhere']],
    [{ recoveredMs: 15_001 }, ['what it was doing is finished elsewhere']],
    [{ dead: 1 }, ['nothing is blamed for it: dead letters']],
    [{ left: 1 }, ['nothing is left in the queue']],
    [{ answersAgain: 0 }, ['the process is back and answers']],
  ],
);

judging(
  'the books',
  closingTheBooks,
  {
    ...{ initial: 1_000, sold: 10, left: 990, orders: 7, orderedCents: 5_000, settledCents: 5_000, unsettled: 0 },
    ...{ counted: 10, packed: 7 },
  },
  [
    [{ left: 989 }, ['stock = initial - sold']],
    [{ settledCents: 6_000 }, ['revenue is settled once']],
    [{ counted: 9 }, ['the counter in Redis has what was sold']],
    [{ packed: 6 }, ['every order is packed']],
    [{ unsettled: 1 }, ['every order is settled: unsettled']],
  ],
);

judging(
  'rate limits',
  rateLimits,
  { requests: 60, admitted: 30, refused: 30, calls: 30, spreadMs: 1_455, policy: '', state: '', retryAfter: '' },
  [
    [{ admitted: 31 }, ['requests that are admitted']],
    [{ refused: 29 }, ['requests that are refused with 429 and Retry-After']],
    [{ calls: 31 }, ['calls of the agency']],
    [{ spreadMs: 1_390 }, ['ms over which they were spread']],
  ],
);

const way = { taken: 150, left: 0, tookMs: 20 };
judging('a decrement', decrement, { script: way, watch: { ...way, retries: 900 }, lock: way }, [
  [{ script: { ...way, taken: 151 } }, ['by script: taken']],
  [{ script: { ...way, left: -1 } }, ['by script: left']],
  [{ watch: { ...way, taken: 149, retries: 9 } }, ['by watch: taken']],
  [{ watch: { ...way, left: 1, retries: 9 } }, ['by watch: left']],
  [{ lock: { ...way, taken: 160 } }, ['by lock: taken']],
  [{ lock: { ...way, left: 10 } }, ['by lock: left']],
]);

judging(
  'mails',
  mails,
  { delivered: 54, most: 4, bounced: 6, reports: 1, sent: 54, failed: 6, digests: 1, reviews: 30, tookMs: 900 },
  [
    [{ delivered: 53 }, ['every letter is delivered, or known to be undeliverable']],
    [{ most: 5 }, ['letters at a time, from all processes']],
    [{ bounced: 5, delivered: 55 }, ['addresses that are known to be unknown']],
    [{ reports: 2 }, ['the end of the campaign is told once']],
    [{ sent: 53 }, ['with the count of those that were sent']],
    [{ failed: 7 }, ['and of those that have failed']],
    [{ digests: 2 }, ['all reviews are in one mail']],
    [{ reviews: 29 }, ['all reviews are in one mail']],
  ],
);

judging(
  'the back office',
  backOffice,
  {
    ...{ changes: 100, indexed: 10, statements: 3, invoices: 30, answered: 20, refused: 10, cancel: 'aborting' },
    ...{ exportState: 'gone', page: 3, instants: 20, missed: 0, writers: 3, tookMs: 900 },
  },
  [
    [{ indexed: 9 }, ['products that are indexed with their last price']],
    [{ statements: 51 }, ['statements for all changes']],
    [{ refused: 9 }, ['each invoice has its number, or is refused at once']],
    [{ answered: 0, refused: 30 }, ['invoices with their numbers']],
    [{ cancel: 'removed' }, ['the running export is aborted']],
    [{ exportState: 'running' }, ['and gone']],
    [{ page: 0 }, ['pages of it that were told live']],
    [{ instants: 1 }, ['reports since the start']],
    [{ missed: 1 }, ['seconds without a report']],
  ],
);

judging('parcels', parcels, { backlog: 300, express: 20, ahead: 30, expressMs: 90, allMs: 600 }, [
  [{ express: 19 }, ['express parcels with a label']],
  [{ backlog: 299 }, ['parcels of the backlog with a label']],
  [{ ahead: 280 }, ['parcels of the backlog ahead of the last express parcel']],
]);

judging('tracking', tracking, { noted: 72, wrong: 0, refused: 12, recorded: 72, retried: 12, tookMs: 600 }, [
  [{ noted: 73 }, ['scans that are noted']],
  [{ wrong: 1 }, ['scans out of their order']],
  [{ refused: 0 }, ['scans that were refused once']],
  [{ recorded: 71 }, ['scans in the history']],
  [{ retried: 11 }, ['and tried again, as it says']],
]);

const told = { flood: 20, others: 9, most: 2, ahead: 5, floodMs: 1_520, othersMs: 40 };
judging('webhooks', webhooks, told, [
  [{ flood: 19 }, ['calls of the partner with many events']],
  [{ others: 10 }, ['calls of the others']],
  [{ most: 3 }, ['calls of one partner at a time, from all processes']],
  [{ floodMs: 1_400 }, ['ms over which the many were spread']],
  [{ ahead: 20 }, ['calls of the many ahead of the last other one']],
]);

const speeds = { lockMeanMs: 0.2, tasks: 5_000, handled: 5_000, tasksPerSecond: 20_000, representative: true };
judging('speed', speed, speeds, [
  [{ handled: 4_999 }, ['every task ran once']],
  [{ lockMeanMs: 5 }, ['mean time to a free lock']],
  [{ tasksPerSecond: 999 }, ['tasks per second']],
]);

it('does not judge the speed of a server that is not representative', () => {
  expect(failing(speed, { ...speeds, lockMeanMs: 9, tasksPerSecond: 9, representative: false })).toEqual([]);
});
