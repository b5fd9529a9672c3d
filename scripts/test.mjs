/** `npm test`: everything that must hold, from a fresh clone, against real Redis servers of its own. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuiltForApps } from './build.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { runSpecs } from './specs.mjs';
import { run, root, step, StepFailed, tool, tsc } from './step.mjs';

const tally = { passed: 0, failed: 0 };
const locks = ['package-lock.json', 'apps/bench/package-lock.json'].filter((file) => existsSync(join(root, file)));
const layers = ['libs', 'apps', 'test'];

/** The specs come first, because some of them measure. They wait a lot, which leaves enough for the checks. */
const yields = { yields: true };
const CHECKS = {
  types: () => tsc('tsconfig.json', yields),
  lint: () => tool('eslint/bin/eslint.js', ['.', '--max-warnings', '0'], yields),
  format: () => tool('prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.'], yields),
  layout: () => tool('dependency-cruiser/bin/dependency-cruise.mjs', layers, yields),
  'lock files': () => run(process.execPath, ['scripts/complete-lockfile.mjs', '--check', ...locks], yields),
};

const ready = (await counted(ensureInstalled)) && (await counted(ensureBuiltForApps)) && (await counted(requireRedis));
if (ready) await Promise.all([checks(), specs()]);
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

/** One after the other: none needs another's result, and together they would need more memory. */
async function checks() {
  for (const [label, check] of Object.entries(CHECKS)) await counted(() => step(label, check));
}

async function specs() {
  const { passed, failed } = await runSpecs('specs');
  tally.passed += passed;
  tally.failed += failed;
}
