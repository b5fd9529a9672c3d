import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { batchRow } from './batch.rows.js';
import { combinationTable, disagreements } from './combination-table.js';
import { CombinationKit } from './combination.kit.js';
import { titleOf, type Combination } from './combination.js';
import { awaitedRow, deadLetterRow, settledRow } from './ends.rows.js';
import { cancelRow } from './cancel.rows.js';
import { clusterRow } from './cluster.rows.js';
import { eventsRow } from './events.rows.js';
import { followUpRow } from './follow-up.rows.js';
import { groupsRow } from './groups.rows.js';
import { historyRow } from './history.rows.js';
import { notesRow } from './notes.rows.js';
import { orderRow } from './order.rows.js';
import { pauseRow } from './pause.rows.js';
import { perKeyRow } from './per-key.rows.js';
import { priorityRow } from './priority.rows.js';
import { rateByRow } from './rate-by.rows.js';
import { redriveRow } from './redrive.rows.js';
import { testingRow } from './testing.rows.js';
import { collectRow, debounceRow, replaceRow, skipRow } from './keys.rows.js';
import { fleetRow, lengthRow, rateRow } from './limits.rows.js';
import { delaysRow, schedulesRow } from './times.rows.js';

/** The order of the page. A feature that is new gets a file or a place in one, and the next row. */
const ROWS = [
  { feature: 'named tasks', with: {} },
  ...[skipRow, replaceRow, debounceRow, collectRow, delaysRow, schedulesRow],
  ...[fleetRow, rateRow, lengthRow, deadLetterRow, settledRow, awaitedRow, batchRow],
  ...[cancelRow, groupsRow, pauseRow, redriveRow, testingRow, clusterRow],
  ...[followUpRow, priorityRow, orderRow, perKeyRow],
  ...[eventsRow, notesRow, historyRow, rateByRow],
];
const PAGE = 'docs/guide/queue-combinations.md';

const tests: [title: string, test: Combination][] = ROWS.flatMap(({ feature, with: others }) =>
  Object.entries<Combination>(others).map(([other, test]) => [titleOf(feature, other), test] as [string, Combination]),
);

describe('the table of combinations', () => {
  it('has a cell for each pair of features, and a test for each cell, which say the same', () => {
    const table = combinationTable(readFileSync(PAGE, 'utf8'));
    expect(table.features).toEqual(ROWS.map(({ feature }) => feature));
    expect(disagreements(table, new Map(tests))).toEqual([]);
  });

  it('is found to be wrong where it is', () => {
    const page = [
      '| 1 | a |   |   |',
      '| 2 | [`b`](c.md) | ✗ | |',
      '| 3 | c | ✓ | • |',
      '| 4 | d | ✓ | | ✓ |',
      '| `b` × a | `SLUICE_BAD_OPTION` |',
      '| d × b | a note |',
    ].join('\n');
    const said = new Map([
      ['b × a', { mark: '✗', code: 'SLUICE_CROSS_SLOT' }],
      ['c × a', { mark: '•' }],
      ['c × b', { mark: '•' }],
      ['d × a', { mark: '✓' }],
      ['d × e', { mark: '✓' }],
    ]);
    expect(disagreements(combinationTable(page), said)).toEqual([
      'd × b: a note without a cell',
      'b × a: no code SLUICE_CROSS_SLOT',
      'c × a: the page says ✓, the test •',
      'c × b: no note',
      'd × b: no cell',
      'd × c: a cell without a test',
      'd × e: no cell',
    ]);
  });
});

describe('together on one queue:', () => {
  const kit = new CombinationKit();

  it.each(tests)('%s', (_, { run }) => run(kit));
});
