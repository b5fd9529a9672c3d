/**
 * `npm run test:pack`: the package as its users get it. Packs it, and in a temporary folder installs the tarball into apps
 * of Nest 12 (ESM) and Nest 11 (CommonJS): a small one, and one with the packages that are used beside it. Compiles them against
 * the packed types, and runs them against a private Redis. Then the packed previous commit runs beside the tree in one fleet, as
 * in a rolling deploy. `-- fleet`: only that.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt } from './build.mjs';
import { packCommit, previousCommit } from './previous-commit.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, root, run, step, StepFailed } from './step.mjs';

/** What the app with the neighbouring packages does on each Nest: its checks run from the sources and from two bundles. */
const NEIGHBOURS = {
  run: ['dist/main.js'],
  'bundle, minified by esbuild': ['bundle.mjs', 'esbuild'],
  'run that bundle': ['dist/esbuild.cjs'],
  'bundle, production of webpack': ['bundle.mjs', 'webpack'],
  'run this bundle': ['dist/webpack.cjs'],
  'rate limits on every transport': ['dist/limited.js'],
};

const THROTTLED = { 'the guard of @nestjs/throttler': ['dist/throttled.js'] };

/**
 * What proves each app once it is compiled. Its files are those of its folder in test/pack, and of the folder `with`: all of them, or
 * only those that `only` names.
 */
const APPS = {
  'nest12-esm': { proofs: { run: ['dist/main.js'] } },
  'nest11-cjs': { proofs: { run: ['node_modules/jest/bin/jest.js', '--ci'] } },
  'neighbours-nest12-esm': { with: 'neighbours', proofs: { ...NEIGHBOURS, ...THROTTLED } },
  'neighbours-nest11-cjs': {
    with: 'neighbours',
    proofs: {
      ...NEIGHBOURS,
      ...THROTTLED,
      'spans of OpenTelemetry': ['dist/telemetry.js'],
    },
  },
  'throttled-nest12-cjs': { with: 'neighbours', only: ['src/check.ts', 'src/throttled.ts'], proofs: THROTTLED },
};

const onlyFleet = process.argv.includes('fleet');
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
  if (onlyFleet) {
    await fleetTest(dir, tarball, url);
    return;
  }
  await counted('only what users need is packed', () => checkContents(tarball));
  await counted('publint', () => run('npx', ['--yes', 'publint@0.3', tarball, '--strict'], { cwd: dir }));
  await counted('types resolve in every way (attw)', () =>
    run('npx', ['--yes', '@arethetypeswrong/cli@0.18', tarball], { cwd: dir }),
  );
  for (const [name, app] of Object.entries(APPS)) {
    const { proofs } = app;
    const cwd = join(dir, name);
    copyApp(name, app, cwd);
    const install = ['install', '--no-audit', '--no-fund', '--no-package-lock', tarball];
    const ok =
      (await counted(`${name}: install`, () => run('npm', install, { cwd }))) &&
      (await counted(`${name}: compile`, () => run(process.execPath, ['node_modules/typescript/bin/tsc'], { cwd })));
    const how = { cwd, env: { SLUICE_REDIS_URL: url }, withinMs: 240_000 };
    for (const [what, proof] of ok ? Object.entries(proofs) : []) {
      await counted(`${name}: ${what}`, () => run(process.execPath, proof, how));
    }
  }
  await fleetTest(dir, tarball, url);
}

function copyApp(name, { with: shared, only = ['.'] }, cwd) {
  const from = join(root, 'test/pack');
  for (const file of shared ? only : []) cpSync(join(from, shared, file), join(cwd, file), { recursive: true });
  cpSync(join(from, name), cwd, { recursive: true });
}

/** Processes of the previous commit and of the tree in one fleet, each with its own tarball. */
async function fleetTest(dir, tarball, url) {
  const [before, present] = ['before', 'present'].map((name) => join(dir, 'fleet', name));
  let packed;
  const ok =
    (await counted('fleet: pack the previous commit', async () => {
      const commit = await previousCommit();
      packed = await packCommit(commit, join(dir, 'previous'));
      return commit.slice(0, 9);
    })) &&
    (await counted('fleet: install both', async () => {
      for (const [cwd, tar] of [
        [present, tarball],
        [before, packed],
      ]) {
        cpSync(join(root, 'test/pack/fleet'), cwd, { recursive: true });
        await run('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', '--prefer-offline', tar], { cwd });
      }
    }));
  const how = { cwd: present, env: { SLUICE_REDIS_URL: url }, withinMs: 240_000 };
  if (ok) await counted('fleet: run', () => run(process.execPath, ['fleet.mjs', before, present], how));
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
