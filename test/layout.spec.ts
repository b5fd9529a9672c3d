import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Files that import, and the rule that each import breaks; null: none that is told of this file. */
const PLANTED: [file: string, imports: string, rule: string | null][] = [
  ['libs/lock/chicken.ts', './egg.js', 'no-cycles'],
  // A cycle is told once, of its first file.
  ['libs/lock/egg.ts', './chicken.js', null],
  ['libs/weave/a.ts', '../redis/index.js', 'weave-is-the-ground'],
  ['libs/redis/a.ts', '../lock/index.js', 'redis-may-use-weave-only'],
  ['libs/redis/b.ts', '../weave/index.js', null],
  ['libs/redis/c.ts', 'ioredis', null],
  ['libs/lock/a.ts', '../cache/index.js', 'features-stand-side-by-side'],
  ['libs/cache/a.ts', '../queue/index.js', 'features-stand-side-by-side'],
  ['libs/queue/a.spec.ts', '../lock/index.js', 'features-stand-side-by-side'],
  ['libs/queue/b.ts', '../sluice/index.js', 'features-stand-side-by-side'],
  ['libs/limit/a.ts', '../queue/index.js', 'features-stand-side-by-side'],
  ['libs/lock/b.ts', '../redis/index.js', null],
  ['libs/lock/c.ts', './b.js', null],
  ['libs/lock/store/a.ts', '../held/lock.js', 'stores-stand-alone'],
  ['libs/queue/store/scripts/a.ts', '../../held/lock.js', 'stores-stand-alone'],
  ['libs/queue/store/scripts/b.ts', '../../queue.errors.js', null],
  ['libs/queue/store/scripts/c.ts', '../stream-reply.js', null],
  ['libs/queue/store/d.spec.ts', '../held/lock.js', null],
  ['libs/queue/held/a.ts', '../store/stream-reply.js', null],
  ['libs/cache/b.ts', '../testing/index.js', 'features-know-no-adapter'],
  ['libs/sluice/a.ts', '../testing/index.js', 'features-know-no-adapter'],
  ['libs/cache/c.spec.ts', '../testing/index.js', null],
  ['libs/testing/a.ts', '../cache/index.js', null],
  ['libs/lock/d.ts', 'ioredis', 'only-redis-knows-ioredis'],
  ['libs/lock/e.spec.ts', 'ioredis', null],
  ['libs/sluice/b.ts', '../../test/support/until.js', 'libs-ship-alone'],
  ['libs/sluice/c.spec.ts', '../../test/support/until.js', null],
  ['test/support/a.ts', '../../apps/demo/main.js', 'nobody-imports-apps'],
  ['libs/lock/f.ts', 'nestjs-sluice/redis', 'libs-import-each-other-by-relative-path'],
  ['libs/weave/b.ts', 'nestjs-sluice/weave', 'libs-import-each-other-by-relative-path'],
  ['apps/demo/a.ts', '../../libs/lock/index.js', 'apps-import-the-package-by-name'],
  ['apps/bench/a.ts', '../../libs/lock/index.js', 'apps-import-the-package-by-name'],
  ['test/apps/a.ts', '../../libs/lock/index.js', 'apps-import-the-package-by-name'],
  ['apps/demo/b.ts', 'nestjs-sluice/lock', null],
  ['test/apps/b.ts', 'nestjs-sluice', null],
  ['libs/lock/g.ts', './nowhere.js', 'no-unresolvable'],
  ['test/apps/c.ts', 'no-such-package', 'no-unresolvable'],
];

const LIBS = ['weave', 'redis', 'lock', 'cache', 'queue', 'limit', 'sluice', 'testing'];
const BYSTANDERS = [
  ...LIBS.map((name) => `libs/${name}/index.ts`),
  ...[
    'libs/lock/held/lock.ts',
    'libs/queue/held/lock.ts',
    'libs/queue/queue.errors.ts',
    'libs/queue/store/stream-reply.ts',
  ],
  ...['test/support/until.ts', 'apps/demo/main.ts'],
];

interface Report {
  summary: { violations: { from: string; to: string; rule: { name: string } }[] };
}

describe('the layout rules', () => {
  const root = process.cwd();
  // Real, because the rules are about paths relative to it.
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'layout-')));
  let report: Report;
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  beforeAll(() => {
    for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']) {
      copyFileSync(join(root, file), join(dir, file));
    }
    symlinkSync(realpathSync(join(root, 'node_modules')), join(dir, 'node_modules'));
    const write = (file: string, text: string): void => {
      mkdirSync(dirname(join(dir, file)), { recursive: true });
      writeFileSync(join(dir, file), text);
    };
    for (const file of BYSTANDERS) write(file, 'export const value = 1;\n');
    // Import and export of one name: a dependency at run time and in types.
    for (const [file, target] of PLANTED) write(file, `export * from '${target}';\n`);
    const depcruise = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
    const args = [depcruise, '--output-type', 'json', 'libs', 'apps', 'test'];
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: dir, encoding: 'utf8', maxBuffer: 1 << 26 });
    expect(stderr).toBe('');
    report = JSON.parse(stdout) as Report;
  });

  it.each(PLANTED)('%s importing %s: %s', (file, _imports, rule) => {
    const broken = report.summary.violations
      .filter(({ from }) => from === file)
      .map((violation) => violation.rule.name);
    expect([...new Set(broken)]).toEqual(rule === null ? [] : [rule]);
  });

  it('are all proven here', () => {
    const broken = new Set(report.summary.violations.map((violation) => violation.rule.name));
    const rules = (report.summary as unknown as { ruleSetUsed: { forbidden: { name: string }[] } }).ruleSetUsed;
    expect([...broken].sort()).toEqual(rules.forbidden.map((rule) => rule.name).sort());
  });
});
