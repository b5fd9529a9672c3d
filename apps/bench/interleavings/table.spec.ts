import { describe, expect, it } from '@jest/globals';
import { SCENARIOS } from '../../../test/support/interleavings/scenarios.js';
import { COLUMNS } from './contenders.js';
import { cellOf, replaced, tableOf } from './table.js';

const right = { right: true, seen: 'the new value' };
const wrong = { right: false, seen: 'the old value' };

describe('a cell', () => {
  it('says once what all runs say', () => {
    expect(cellOf([right, right])).toBe('pass');
    expect(cellOf([wrong, wrong])).toBe('**FAIL**: the old value');
    expect(cellOf([{ lacking: 'no tags', seen: '' }])).toBe('not offered: no tags');
    expect(cellOf([{ lacking: 'per process', seen: '2 loads' }])).toBe('not offered: per process (seen: 2 loads)');
  });

  it('says how often, where runs differ', () => {
    expect(cellOf([right, wrong, right])).toBe('pass (in 2 of 3 runs); **FAIL**: the old value (in 1 of 3 runs)');
  });
});

it('a table has a row per scenario and a column per contender', () => {
  const results = new Map(SCENARIOS.map((scenario) => [scenario, new Map(COLUMNS.map((column) => [column, [right]]))]));
  const headings = COLUMNS.map((column) => ({ ...column, version: '1.2.3' }));
  const rows = tableOf(results, headings, 1)
    .split('\n')
    .filter((line) => line.startsWith('|'));
  expect(rows[0]).toBe('|   | Sluice 1.2.3 | bentocache 1.2.3 | cache-manager 1.2.3 | async-cache-dedupe 1.2.3 |');
  expect(rows.slice(2)).toEqual(
    SCENARIOS.map(({ letter, title }) => `| **${letter}** ${title} | pass | pass | pass | pass |`),
  );
});

describe('the page', () => {
  const page = (between: string): string =>
    `# Page\n\n<!-- interleavings: written by npm run bench -- interleavings -->${between}<!-- /interleavings -->\n\nEnd.\n`;

  it('keeps what is around the table', () => {
    expect(replaced(page('\n\n| old |\n\n'), '| new |')).toBe(page('\n\n| new |\n\n'));
  });

  it('must have the marks', () => {
    expect(() => replaced('# Page\n', '| new |')).toThrow('the page has no <!-- interleavings');
  });
});
