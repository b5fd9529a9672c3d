import type { Report } from '../launcher/report.js';
import { backOffice } from './back-office.js';
import { closingTheBooks } from './closing-the-books.js';
import { coldKey } from './cold-key.js';
import { dailyJob } from './daily-job.js';
import { decrement } from './decrement.js';
import { killedProcess } from './killed-process.js';
import { mails } from './mails.js';
import { orders } from './orders.js';
import { parcels } from './parcels.js';
import { playStep } from './play-step.js';
import { rateLimits } from './rate-limits.js';
import { speed } from './speed.js';
import type { Stage } from './step.js';
import { tracking } from './tracking.js';
import { webhooks } from './webhooks.js';

export type Outcome = Awaited<ReturnType<typeof playScenario>>;

/** Plays all steps, one after the other. One that does not hold does not keep the others from being shown. */
export async function playScenario(stage: Stage, report: Report) {
  const played = {
    coldKey: await playStep(coldKey, stage, report),
    orders: await playStep(orders, stage, report),
    dailyJob: await playStep(dailyJob, stage, report),
    killedProcess: await playStep(killedProcess, stage, report),
    books: await playStep(closingTheBooks, stage, report),
    decrement: await playStep(decrement, stage, report),
    rateLimits: await playStep(rateLimits, stage, report),
    mails: await playStep(mails, stage, report),
    backOffice: await playStep(backOffice, stage, report),
    parcels: await playStep(parcels, stage, report),
    tracking: await playStep(tracking, stage, report),
    webhooks: await playStep(webhooks, stage, report),
    speed: await playStep(speed, stage, report),
  };
  const holds = Object.values(played).every((step) => step.holds);
  report.ends(holds);
  const [coldKeys, ordered, day, killed, books] = [
    played.coldKey.figures,
    played.orders.figures,
    played.dailyJob.figures,
    played.killedProcess.figures,
    played.books.figures,
  ];
  return {
    holds,
    requests: coldKeys?.requests,
    queries: coldKeys?.queries,
    accepted: sum(ordered?.accepted, killed?.accepted),
    completed: sum(ordered?.completed, killed?.completed),
    dead: sum(ordered?.dead, killed?.dead),
    initial: books?.initial,
    sold: books?.sold,
    left: books?.left,
    dailyRuns: day?.most,
    recoveredMs: killed?.recoveredMs,
    tasksPerSecond: played.speed.figures?.tasksPerSecond,
    lockMeanMs: played.speed.figures?.lockMeanMs,
    steps: Object.fromEntries(Object.entries(played).map(([name, { figures }]) => [name, figures])),
  };
}

/** Undefined unless both steps were played. */
function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}
