import type { Report } from '../launcher/report.js';
import { coldKey } from './cold-key.js';
import { dailyJob } from './daily-job.js';
import { killedProcess } from './killed-process.js';
import { orders } from './orders.js';
import { playStep } from './play-step.js';
import { speed } from './speed.js';
import type { Stage } from './step.js';

export type Outcome = Awaited<ReturnType<typeof playScenario>>;

/** Plays all steps, one after the other. One that does not hold does not keep the others from being shown. */
export async function playScenario(stage: Stage, report: Report) {
  const played = {
    coldKey: await playStep(coldKey, stage, report),
    orders: await playStep(orders, stage, report),
    dailyJob: await playStep(dailyJob, stage, report),
    killedProcess: await playStep(killedProcess, stage, report),
    speed: await playStep(speed, stage, report),
  };
  const holds = Object.values(played).every((step) => step.holds);
  report.ends(holds);
  return {
    holds,
    coldKey: played.coldKey.figures,
    orders: played.orders.figures,
    dailyJob: played.dailyJob.figures,
    killedProcess: played.killedProcess.figures,
    speed: played.speed.figures,
  };
}
