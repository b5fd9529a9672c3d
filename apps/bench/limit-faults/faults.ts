/** What `npm run bench -- limit-faults` does. */
import { readFileSync, writeFileSync } from 'node:fs';
import { startRedis } from 'nestjs-sluice/testing';
import type { Verdict } from '../../../test/support/interleavings/scenarios.js';
import { cellOf, replaced } from '../interleavings/table.js';
import { peerVersion } from '../peer.js';
import { COLUMNS, type Column } from './contenders.js';
import { chargedRefusal, keepsTrying, reset, twice } from './counting.js';
import { seenAs, type Fault } from './fault.js';
import { allOrNone, named, retryAfter } from './guard.js';
import { frozen, noBlock } from './outage.js';

const FAULTS: readonly Fault[] = [
  twice,
  chargedRefusal,
  keepsTrying,
  reset,
  frozen,
  noBlock,
  retryAfter,
  named,
  allOrNone,
];

/** Plays everything so many times, and writes the table into the page. */
export async function writeLimitFaults(page: string, runs: number): Promise<void> {
  const cells: string[][] = [];
  for (const fault of FAULTS) {
    console.log(`── ${fault.letter}: ${fault.title}`);
    const row: string[] = [];
    for (const column of COLUMNS) {
      const verdicts: Verdict[] = [];
      for (let run = 0; run < runs; run++) verdicts.push(await playOnce(fault, column));
      row.push(cellOf(verdicts));
      console.log(`   ${column.name}: ${row.at(-1) ?? ''}`);
    }
    cells.push(row);
  }
  writeFileSync(page, replaced(readFileSync(page, 'utf8'), tableOf(cells, runs), 'limit-faults'));
}

async function playOnce(fault: Fault, column: Column): Promise<Verdict> {
  const redis = await startRedis();
  try {
    return await fault.play(column, { redis });
  } catch (error) {
    return seenAs(false, String(error));
  } finally {
    await redis.stop();
  }
}

function tableOf(cells: readonly (readonly string[])[], runs: number): string {
  return [
    `Runs of each row: ${runs}. All of them had the same outcome unless the cell says otherwise.`,
    '',
    `|   | ${COLUMNS.map((column) => `${column.name} ${peerVersion(column.package)}`).join(' | ')} |`,
    `|${' --- |'.repeat(COLUMNS.length + 1)}`,
    ...FAULTS.map(({ letter, title }, i) => `| **${letter}** ${title} | ${(cells[i] ?? []).join(' | ')} |`),
    '',
    'What happens, and _what is right_:',
    '',
    ...FAULTS.map(({ letter, order, right }) => `- **${letter}** ${order} _${right}_`),
    '',
    'Settings:',
    '',
    ...COLUMNS.map(({ name, settings }) => `- ${name}: ${settings}.`),
  ].join('\n');
}
