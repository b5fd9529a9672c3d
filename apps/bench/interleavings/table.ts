/** The comparison as the page shows it. */
import type { Verdict } from '../../../test/support/interleavings/scenarios.js';
import type { Scenario } from '../../../test/support/interleavings/scenario.js';
import type { Column } from './contenders.js';

/** By scenario, by contender: what came out, each time. */
export type Results = ReadonlyMap<Scenario, ReadonlyMap<Column, readonly Verdict[]>>;

export interface Heading {
  name: string;
  version: string;
  settings: string;
}

/** One cell: what all runs say, or how many of them say what. */
export function cellOf(verdicts: readonly Verdict[]): string {
  const texts = verdicts.map(textOf);
  const different = [...new Set(texts)];
  if (different.length === 1) return different[0] ?? '';
  return different
    .map((text) => `${text} (in ${texts.filter((other) => other === text).length} of ${texts.length} runs)`)
    .join('; ');
}

function textOf(verdict: Verdict): string {
  if (verdict.lacking !== undefined) {
    return `not offered: ${verdict.lacking}${verdict.seen === '' ? '' : ` (seen: ${verdict.seen})`}`;
  }
  return verdict.right ? 'pass' : `**FAIL**: ${verdict.seen}`;
}

export function tableOf(results: Results, headings: readonly Heading[], runs: number): string {
  const scenarios = [...results.keys()];
  return [
    `Each scenario ran ${runs} times with real processes. All runs had the same outcome unless the cell says otherwise.`,
    '',
    `|   | ${headings.map(({ name, version }) => `${name} ${version}`).join(' | ')} |`,
    `|${' --- |'.repeat(headings.length + 1)}`,
    ...[...results].map(
      ([{ letter, title }, cells]) => `| **${letter}** ${title} | ${[...cells.values()].map(cellOf).join(' | ')} |`,
    ),
    '',
    'What happens, and _what is right_:',
    '',
    ...scenarios.map(({ letter, order, right }) => `- **${letter}** ${order} _${right}_`),
    '',
    'Settings:',
    '',
    ...headings.map(({ name, settings }) => `- ${name}: ${settings}.`),
  ].join('\n');
}

/** The page with another table between its marks. */
export function replaced(page: string, table: string, command = 'interleavings'): string {
  const begin = `<!-- ${command}: written by npm run bench -- ${command} -->`;
  const end = `<!-- /${command} -->`;
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the page has no ${begin} … ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${table}\n\n${page.slice(to)}`;
}
