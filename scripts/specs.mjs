/** Runs specs with Jest and counts them, for `npm test` and `npm run test:topologies`. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { root, run, step } from './step.mjs';

/** Far beyond what the specs need, even on a machine that is ten times slower: a spec that hangs must not hang its caller. */
const SPECS_WITHIN_MS = 60 * 60_000;

/** Of a worker and of each app that a spec forks. Most of their time goes into loading packages, which allocates a lot. */
const FEWER_COLLECTIONS = '--max-semi-space-size=64';

/**
 * Runs the specs whose paths match one of these patterns; all, if there is none. Every test counts, and so does a spec that
 * does not load. Many specs wait, for a lease or a process to end, so there are more workers than cores.
 *
 * @returns how many tests passed and failed, and the titles of those that were skipped
 */
export async function runSpecs(label, { patterns = [], env = {}, workers = availableParallelism() + 2 } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-jest-'));
  const report = join(dir, 'report.json');
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--ci', '--maxWorkers', String(workers)];
  const args = [...jest, '--json', '--outputFile', report, ...patterns];
  const flags = `${process.env.NODE_OPTIONS ?? ''} --disable-warning=ExperimentalWarning ${FEWER_COLLECTIONS}`;
  const how = { live: 'stderr', env: { NODE_OPTIONS: flags, ...env }, withinMs: SPECS_WITHIN_MS };
  try {
    await step(label, () => run(process.execPath, args, how));
  } catch {
    // Counted below, unless it was not a test that failed.
    if (!existsSync(report)) return { passed: 0, failed: 1, skipped: [] };
  }
  const results = JSON.parse(readFileSync(report, 'utf8'));
  rmSync(dir, { recursive: true });
  const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
  const skipped = results.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'pending')
      .map(({ fullName }) => `${relative(root, name)}: ${fullName}`),
  );
  return { passed: results.numPassedTests, failed: failed || Number(!results.success), skipped };
}
