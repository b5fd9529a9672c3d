import { missedMessage, overtakenAnswer, quiet } from './local-copies.js';
import { deadLoader, failedLoad, lateMiss, longLoad } from './one-load.js';
import type { Contender } from './rival.js';
import type { Claims, Finding, Scenario } from './scenario.js';
import { type Member, Stage, type Patience } from './stage.js';
import { deleted, tagged, zombie } from './void-fills.js';

export const SCENARIOS: readonly Scenario[] = [
  quiet,
  lateMiss,
  longLoad,
  deadLoader,
  deleted,
  zombie,
  failedLoad,
  overtakenAnswer,
  tagged,
  missedMessage,
];

/** What runs a contender in a process of its own, and the Redis that it runs on. */
export interface Setting {
  redisUrl: string;
  program: string | URL;
  env: Record<string, string>;
  patience: Patience;
  /** Processes that an earlier scenario left as it found them; this one adds its own. Without it, each has a fleet of its own. */
  spares?: Member[];
}

/** `lacking`: it does not claim to do this; what was seen all the same, where it could be played. */
export type Verdict = (Finding & { lacking?: never }) | { lacking: string; seen: string };

/** Plays one scenario, with keys of its own. They are not removed. */
export async function play(scenario: Scenario, { lacks }: Contender, setting: Setting): Promise<Verdict> {
  const lacking = scenario.needs && lacks[scenario.needs];
  if (lacking !== undefined && scenario.needs === 'tags') return { lacking, seen: '' };
  const stage = new Stage(setting.redisUrl, setting.patience, setting.spares);
  try {
    await stage.start(scenario.processes, setting.program, setting.env);
    const finding = await scenario.play(stage, claimsOf(lacks));
    if (setting.spares && finding.right && !scenario.spoils) stage.spare();
    return lacking === undefined ? finding : { lacking, seen: finding.seen };
  } finally {
    await stage.close();
  }
}

function claimsOf(lacks: Contender['lacks']): Claims {
  return {
    sharesLoads: lacks['one load for all processes'] === undefined,
    tells: lacks['local copies that hear of changes'] === undefined,
    tags: lacks.tags === undefined,
  };
}
