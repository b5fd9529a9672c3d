import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

const read = (file: string): string => readFileSync(file, 'utf8');
const manifest = JSON.parse(read('package.json')) as { scripts: Record<string, string>; engines: { node: string } };

describe('CONTRIBUTING.md', () => {
  const text = read('CONTRIBUTING.md');

  it('names npm scripts that exist', () => {
    const named = [...text.matchAll(/npm (?:run )?([\w:]+)/g)]
      .map(([, name]) => name ?? '')
      .filter((name) => name !== 'ci');
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((name) => !(name in manifest.scripts))).toEqual([]);
  });

  it('names files and folders that exist', () => {
    const named = [...text.matchAll(/(?:libs|test|docs|scripts|\.github|\.ci)\/[\w./-]*[\w/]/g)].map(([path]) => path);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((path) => !existsSync(path) && !existsSync(`${path}.ts`))).toEqual([]);
  });

  it('shows a seeded fault that is there', () => {
    const [, find] = /find: "(.*)", \/\//.exec(text) ?? [];
    expect(find).toMatch(/./);
    expect(read('test/mutants/lock.mutants.mjs')).toContain(find);
  });
});

/** Leading spaces of the line that is `text`, or begins with it. */
function indentOf(lines: readonly string[], text: string): number {
  const line = lines.find((each) => each.trim().startsWith(text));
  return line === undefined ? -1 : line.length - line.trimStart().length;
}

describe('the hosted checks', () => {
  const lines = read('.github/workflows/ci.yml')
    .split('\n')
    .filter((line) => line.trim() !== '');

  it('run all that must hold on the oldest and on the current Node', () => {
    expect(lines.filter((line) => line.includes('\t'))).toEqual([]);
    expect(['name:', 'on:', 'permissions:', 'jobs:'].map((key) => indentOf(lines, key))).toEqual([0, 0, 0, 0]);
    // Steps are items of the job's list, each with one thing to do.
    expect(indentOf(lines, '- run: .ci/run')).toBe(indentOf(lines, 'steps:') + 2);
    expect(lines).toContain('        node: [20, 22]');
    expect(lines).toContain('          node-version: ${{ matrix.node }}');
    expect(lines.join('\n')).toMatch(/- run: .*redis-server/);
    accessSync('.ci/run', constants.X_OK);
  });

  it('are the suites that CONTRIBUTING.md names', () => {
    const [, suites = ''] = /^for suite in (.*); do$/m.exec(read('.ci/run')) ?? [];
    const named = [...suites.matchAll(/'([^']+)'/g)].map(([, suite = '']) => suite);
    expect(named).toHaveLength(4);
    const [told = ''] = /^`\.ci\/run` is what[^]*?\n\n/m.exec(`${read('CONTRIBUTING.md')}\n\n`) ?? [];
    const commands = named.map((suite) =>
      (suite === 'test' ? 'npm test' : `npm run ${suite}`).replace(/ -- --minutes .*/, ''),
    );
    expect(commands.filter((command) => !told.includes(`\`${command}\``))).toEqual([]);
  });

  it('use versions of Node that the package supports', () => {
    const [, oldest] = />=(\d+)/.exec(manifest.engines.node) ?? [];
    expect(oldest).toBe('20');
    expect(Number(read('.nvmrc'))).toBeGreaterThanOrEqual(Number(oldest));
  });
});
