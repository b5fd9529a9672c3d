import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';

it('the tables of scripts in docs/internals are those of the headers', () => {
  const { stdout, status } = spawnSync(process.execPath, ['scripts/script-tables.mjs', '--check'], {
    encoding: 'utf8',
  });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});

it.each([
  ['lock', 'lock:acquire'],
  ['cache', 'cache:ask'],
  ['queue', 'queue:reap'],
])('the page of %s has a row with keys for %s', (feature, script) => {
  const page = readFileSync(`docs/internals/${feature}.md`, 'utf8');
  expect(page).toMatch(new RegExp(`^\\| \\[\`${script}\`\\]\\(\\S+\\.ts\\) +\\| [\\w, ]+ +\\| [A-Z].*\\. +\\|$`, 'm'));
});
