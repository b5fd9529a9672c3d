/** Plays every interleaving with every contender, several times over. */
import { Redis } from 'ioredis';
import { startRedis } from 'nestjs-sluice/testing';
import { play, SCENARIOS, type Verdict } from '../../../test/support/interleavings/scenarios.js';
import type { Scenario } from '../../../test/support/interleavings/scenario.js';
import { COLUMNS, type Column } from './contenders.js';
import { cellOf, type Results } from './table.js';

/** The same for all. No lease or wait of a contender lasts longer by default than a load is held. */
const PATIENCE = { holdMs: 7_000, graceMs: 100, boundMs: 3_000 };

/** One that neither answers nor fails within this has failed. */
const ENDS_WITHIN_MS = 60_000;

export async function compare(runs: number, print: (line: string) => void): Promise<Results> {
  const redis = await startRedis();
  const admin = new Redis(redis.url);
  const results = new Map<Scenario, Map<Column, Verdict[]>>();
  try {
    for (const scenario of SCENARIOS) {
      print(`── ${scenario.letter}: ${scenario.title}`);
      const row = new Map<Column, Verdict[]>();
      results.set(scenario, row);
      for (const column of COLUMNS) {
        const verdicts: Verdict[] = [];
        for (let run = 0; run < runs; run++) {
          await admin.flushall();
          verdicts.push(await playOnce(scenario, column, redis.url));
        }
        row.set(column, verdicts);
        print(`   ${column.name}: ${cellOf(verdicts)}`);
      }
    }
  } finally {
    admin.disconnect();
    await redis.stop();
  }
  return results;
}

async function playOnce(scenario: Scenario, column: Column, redisUrl: string): Promise<Verdict> {
  const program = new URL('member.js', import.meta.url);
  const setting = { redisUrl, program, env: { CONTENDER: column.name }, patience: PATIENCE };
  const ended = play(scenario, column, setting).catch((error: unknown) => ({ right: false, seen: String(error) }));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Verdict>((resolve) => {
    timer = setTimeout(() => {
      resolve({ right: false, seen: `no end within ${ENDS_WITHIN_MS / 1_000} s` });
    }, ENDS_WITHIN_MS);
  });
  const verdict = await Promise.race([ended, late]);
  clearTimeout(timer);
  return verdict;
}
