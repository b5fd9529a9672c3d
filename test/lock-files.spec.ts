import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Packages = Record<string, Record<string, unknown>>;

describe('scripts/complete-lockfile.mjs', () => {
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'lock-file-'));
    file = join(dir, 'package-lock.json');
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  function run(packages: Packages, ...flags: string[]): { status: number | null; said: string; packages: Packages } {
    writeFileSync(file, `${JSON.stringify({ lockfileVersion: 3, packages }, null, 2)}\n`);
    const { status, stderr, stdout } = again(...flags);
    const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Packages };
    return { status, said: stderr + stdout, packages: lock.packages };
  }

  function again(...flags: string[]): { status: number | null; stderr: string; stdout: string } {
    return spawnSync(process.execPath, ['scripts/complete-lockfile.mjs', ...flags, file], { encoding: 'utf8' });
  }

  const swc = (names: string[]): Record<string, unknown> => ({
    version: '1.0.0',
    dev: true,
    optionalDependencies: Object.fromEntries(names.map((name) => [name, '1.0.0'])),
  });

  it('adds what other platforms need, with what their names say', () => {
    const names = [
      '@x/core-darwin-arm64',
      '@x/core-linux-arm-musleabihf',
      '@x/core-linux-x64-gnu',
      '@x/core-wasm32-wasi',
    ];
    const before = { '': {}, 'node_modules/@x/core': swc(names), [`node_modules/${names[2]!}`]: { version: '1.0.0' } };
    expect(run(before).packages).toEqual({
      ...before,
      'node_modules/@x/core-darwin-arm64': {
        version: '1.0.0',
        cpu: ['arm64'],
        dev: true,
        optional: true,
        os: ['darwin'],
      },
      'node_modules/@x/core-linux-arm-musleabihf': {
        version: '1.0.0',
        cpu: ['arm'],
        dev: true,
        libc: ['musl'],
        optional: true,
        os: ['linux'],
      },
      'node_modules/@x/core-wasm32-wasi': { version: '1.0.0', cpu: ['wasm32'], dev: true, optional: true },
    });
  });

  it('changes nothing the second time, and then passes its own check', () => {
    const { packages } = run({ 'node_modules/@x/core': swc(['@x/core-win32-ia32-msvc']) });
    const completed = readFileSync(file, 'utf8');
    expect(packages['node_modules/@x/core-win32-ia32-msvc']).toBeDefined();
    expect(again('--check').status).toBe(0);
    again();
    expect(readFileSync(file, 'utf8')).toBe(completed);
  });

  it('only tells, when it is to check', () => {
    const before = { 'node_modules/@x/core': swc(['@x/core-darwin-x64']) };
    const { status, said, packages } = run(before, '--check');
    expect([status, packages]).toEqual([1, before]);
    expect(said).toContain('incomplete: node scripts/complete-lockfile.mjs');
  });

  it('finds what a package has to itself, or a package around it', () => {
    const own = { 'node_modules/a': swc(['b']), 'node_modules/a/node_modules/b': { version: '1.0.0' } };
    const around = {
      'node_modules/c/node_modules/a': swc(['d']),
      'node_modules/c/node_modules/d': { version: '1.0.0' },
    };
    expect(run({ ...own, ...around }, '--check').status).toBe(0);
  });

  it('drops download addresses, but not where a link leads', () => {
    const link = { resolved: '../..', link: true };
    const { packages } = run({
      'node_modules/a': { version: '1.0.0', resolved: 'https://example.org/a.tgz' },
      'node_modules/b': link,
    });
    expect(packages).toEqual({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': link });
  });

  it('refuses to guess the version of a range', () => {
    const { status, said } = run({
      'node_modules/a': { version: '1.0.0', optionalDependencies: { fsevents: '^2.0.0' } },
    });
    expect(status).toBe(1);
    expect(said).toContain('fsevents@^2.0.0');
  });
});
