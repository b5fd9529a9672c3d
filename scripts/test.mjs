/** `npm test`: everything that must hold, from a fresh clone, against real Redis servers of its own. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuiltForApps } from './build.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { run, root, step, StepFailed, tool, tsc } from './step.mjs';

/** Far beyond what the specs need, even on a machine that is ten times slower: a spec that hangs must not hang its caller. */
const SPECS_WITHIN_MS = 60 * 60_000;

/** Of a worker and of each app that a spec forks. Most of their time goes into loading packages, which allocates a lot. */
const FEWER_COLLECTIONS = '--max-semi-space-size=64';

const tally = { passed: 0, failed: 0 };
const locks = ['package-lock.json', 'apps/bench/package-lock.json'].filter((file) => existsSync(join(root, file)));
const layers = ['libs', 'apps', 'test'];

/** Each needs a core, none the others' result. */
const CHECKS = {
  lint: () => tool('eslint/bin/eslint.js', ['.', '--max-warnings', '0']),
  types: () => tsc('tsconfig.json'),
  format: () => tool('prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']),
  layout: () => tool('dependency-cruiser/bin/dependency-cruise.mjs', layers),
  'lock files': () => run(process.execPath, ['scripts/complete-lockfile.mjs', '--check', ...locks]),
};

const ready = (await counted(ensureInstalled)) && (await counted(ensureBuiltForApps)) && (await counted(requireRedis));
if (ready) {
  await sideBySide(2, Object.entries(CHECKS), ([label, check]) => counted(() => step(label, check)));
  await specs();
}
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exitCode = tally.failed > 0 ? 1 : 0;

async function counted(work) {
  try {
    await work();
    tally.passed++;
    return true;
  } catch (error) {
    if (!error.told) console.error(error instanceof StepFailed ? `✗ ${error.message}` : error);
    tally.failed++;
    return false;
  }
}

async function sideBySide(width, items, work) {
  const rest = [...items];
  const worker = async () => {
    while (rest.length > 0) await work(rest.shift());
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/**
 * The specs, with the checks done: some of them measure. Many of them wait, for a lease or a process to end, so there are more
 * workers than cores. Every test counts, and so does a spec that does not load.
 */
async function specs() {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-jest-'));
  const report = join(dir, 'report.json');
  const workers = String(availableParallelism() + 2);
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--ci', '--maxWorkers', workers];
  const args = [...jest, '--json', '--outputFile', report];
  const env = {
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --disable-warning=ExperimentalWarning ${FEWER_COLLECTIONS}`,
  };
  try {
    await step('specs', () => run(process.execPath, args, { live: 'stderr', env, withinMs: SPECS_WITHIN_MS }));
  } catch {
    // Counted below, unless it was not a test that failed.
    if (!existsSync(report)) tally.failed++;
  }
  if (existsSync(report)) {
    const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, success } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    tally.passed += numPassedTests;
    tally.failed += numFailedTests + numRuntimeErrorTestSuites;
    if (!success && tally.failed === 0) tally.failed++;
  }
  rmSync(dir, { recursive: true });
}
