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

/** The specs, with the checks done: some of them measure. */
async function specs() {
  const { passed, failed } = await runSpecs('specs');
  tally.passed += passed;
  tally.failed += failed;
}
