import type { Report } from '../launcher/report.js';
import type { Stage, Step } from './step.js';

export interface Played<Figures> {
  /** Null if the step could not be played to its end. */
  figures: Figures | null;
  holds: boolean;
}

/** Plays one step and reports it. Whatever goes wrong in it does not hold; an interruption rejects. */
export async function playStep<Figures>(step: Step<Figures>, stage: Stage, report: Report): Promise<Played<Figures>> {
  report.opens(step.title, step.shows);
  try {
    const figures = await step.play(stage);
    stage.interrupted.throwIfAborted();
    const claims = step.judge(figures);
    report.closes(step.rows(figures), claims);
    return { figures, holds: claims.every((claim) => claim.holds) };
  } catch (error) {
    stage.interrupted.throwIfAborted();
    report.breaks(error);
    return { figures: null, holds: false };
  }
}
