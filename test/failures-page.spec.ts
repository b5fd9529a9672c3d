import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';

/** A link to a test: its title, and its file as seen from docs/guide. */
const LINK = /\[([^\]]+)\]\(\.\.\/\.\.\/((?:libs|test)\/\S+\.spec\.ts)\)/g;

it('each test that the page of failures names is there', () => {
  const links = [...readFileSync('docs/guide/failures.md', 'utf8').matchAll(LINK)];
  expect(links.length).toBeGreaterThan(40);
  const missing = links.filter(([, title = '', file = '']) => !readFileSync(file, 'utf8').includes(title));
  expect(missing.map(([link]) => link)).toEqual([]);
});

it('each row of the page of failures names a test', () => {
  const rows = readFileSync('docs/guide/failures.md', 'utf8')
    .split('\n')
    .filter((line) => /^\| (?!-|failure)/.test(line));
  expect(rows.filter((row) => row.match(LINK) === null)).toEqual([]);
});
