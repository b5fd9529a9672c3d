/**
 * `npm run test:pack`: the package as its users get it. Packs it, and in a temporary folder installs the tarball into an
 * app for each of the two worlds, compiles that against the packed types, and runs it against a private Redis.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt } from './build.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, root, run, step, StepFailed } from './step.mjs';

/** What proves each app once it is compiled. */
const APPS = {
  'nest12-esm': ['dist/main.js'],
  'nest11-cjs': ['node_modules/jest/bin/jest.js', '--ci'],
};

const tally = { passed: 0, failed: 0 };

await main(async () => {
  await ensureInstalled();
  await ensureBuilt();
  await requireRedis();
  const { startRedis } = await import('nestjs-sluice/testing');
  const redis = await startRedis();
  const dir = mkdtempSync(join(tmpdir(), 'sluice-pack-'));
  try {
    await packTest(dir, redis.url);
  } finally {
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
  process.exit(tally.failed > 0 ? 1 : 0);
});

async function packTest(dir, url) {
  if (!(await counted('pack', () => run('npm', ['pack', '--pack-destination', dir])))) return;
  const tarball = join(dir, readdirSync(dir)[0]);
  await counted('only what users need is packed', () => checkContents(tarball));
  await counted('publint', () => run('npx', ['--yes', 'publint@0.3', tarball, '--strict'], { cwd: dir }));
  await counted('types resolve in every way (attw)', () =>
    run('npx', ['--yes', '@arethetypeswrong/cli@0.18', tarball], { cwd: dir }),
  );
  for (const [name, proof] of Object.entries(APPS)) {
    const cwd = join(dir, name);
    cpSync(join(root, 'test/pack', name), cwd, { recursive: true });
    const install = ['install', '--no-audit', '--no-fund', '--no-package-lock', tarball];
    const ok =
      (await counted(`${name}: install`, () => run('npm', install, { cwd }))) &&
      (await counted(`${name}: compile`, () => run(process.execPath, ['node_modules/typescript/bin/tsc'], { cwd })));
    if (ok) {
      const how = { cwd, env: { SLUICE_REDIS_URL: url }, withinMs: 120_000 };
      await counted(`${name}: run`, () => run(process.execPath, proof, how));
    }
  }
}

async function checkContents(tarball) {
  const { output } = await run('tar', ['-tzf', tarball]);
  const files = output
    .trim()
    .split('\n')
    .map((file) => file.replace(/^package\//, ''));
  const known =
    /^(package\.json|README\.md|CHANGELOG\.md|LICENSE|dist\/cjs\/package\.json|dist\/(esm|cjs)\/.*(?<!\.spec)\.(js|d\.ts))$/;
  const stray = files.filter((file) => !known.test(file) || /\.spec\./.test(file));
  if (stray.length > 0) throw new StepFailed(`also packed: ${stray.join(', ')}`);
  return `${files.length} files`;
}

async function counted(label, work) {
  try {
    await step(label, work);
    tally.passed++;
    return true;
  } catch {
    tally.failed++;
    return false;
  }
}
