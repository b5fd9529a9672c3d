/**
 * `npm run mutants [-- feature ...]`: seeded faults. Each entry of test/mutants/<feature>.mutants.mjs,
 * `{ name, file, find, replace, specs }`, is put into a copy of the tree, alone, and its specs must then fail.
 * One that survives is a guard that no test needs: the run fails.
 */
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { choose, discover } from './features.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, root, run, step, StepFailed } from './step.mjs';

/** A fault may make its specs hang, which is a way to fail. */
const SPECS_WITHIN_MS = 5 * 60_000;
const LEFT_OUT = new Set(['node_modules', 'dist', '.git', 'coverage']);

await main(async () => {
  const { chosen } = choose(discover(join(root, 'test/mutants'), '.mutants.mjs'), {});
  if (chosen.length === 0) throw new StepFailed('there are no mutants yet');
  await ensureInstalled();
  await requireRedis();

  const tree = copyOfTree();
  process.once('exit', () => rmSync(tree, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

  const tally = { passed: 0, failed: 0 };
  for (const [feature, file] of chosen) {
    const mutants = (await import(pathToFileURL(file).href)).default;
    const specs = [...new Set(mutants.flatMap((mutant) => mutant.specs))];
    await step(`${feature}: its specs pass without a fault`, async () => {
      await build(tree);
      const { failed, output } = await runSpecs(tree, specs);
      if (failed !== 0) throw Object.assign(new StepFailed('they do not'), { output });
    });
    for (const mutant of mutants) {
      const killed = await step(`${feature}: ${mutant.name}`, () => tryMutant(tree, mutant)).then(
        () => true,
        () => false,
      );
      tally[killed ? 'passed' : 'failed']++;
    }
  }
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
  process.exit(tally.failed > 0 ? 1 : 0);
});

function copyOfTree() {
  // Real, as Jest sees it.
  const tree = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-mutants-')));
  cpSync(root, tree, {
    recursive: true,
    filter: (path) =>
      !relative(root, path)
        .split(sep)
        .some((name) => LEFT_OUT.has(name)),
  });
  symlinkSync(realpathSync(join(root, 'node_modules')), join(tree, 'node_modules'));
  return tree;
}

async function tryMutant(tree, { file, find, replace, specs }) {
  const path = join(tree, file);
  const original = readFileSync(path, 'utf8');
  const found = original.split(find).length - 1;
  if (found !== 1) throw new StepFailed(`its text is ${found} times in ${file}, not once`);
  writeFileSync(
    path,
    original.replace(find, () => replace),
  );
  try {
    let { failed, output } = await runSpecs(tree, specs);
    if (output.includes('dist is older than the sources')) {
      // Said by forkApp(), whose apps have to have the fault in them.
      await build(tree);
      ({ failed, output } = await runSpecs(tree, specs));
    }
    if (failed === 0) throw new StepFailed(`SURVIVED ${specs.join(', ')}`);
    return failed === undefined ? 'killed: the specs hang' : `killed by ${failed}`;
  } finally {
    writeFileSync(path, original);
  }
}

function build(tree) {
  return run(process.execPath, ['scripts/build.mjs'], { cwd: tree });
}

/** How many tests failed, undefined if they had to be stopped. A spec that cannot even be loaded proves nothing. */
async function runSpecs(tree, specs) {
  const report = join(tree, 'report.json');
  rmSync(report, { force: true });
  const args = ['--ci', '--json', '--outputFile', report, ...specs];
  const env = { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --disable-warning=ExperimentalWarning` };
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', ...args];
  let output;
  try {
    ({ output } = await run(process.execPath, jest, { cwd: tree, env, withinMs: SPECS_WITHIN_MS }));
  } catch (error) {
    output = error.output;
    if (error.message.endsWith('SIGKILL')) return { failed: undefined, output };
  }
  const said = JSON.parse(readFileSync(report, 'utf8'));
  if (said.numRuntimeErrorTestSuites > 0) throw Object.assign(new StepFailed('the specs cannot be loaded'), { output });
  if (said.numTotalTests === 0) throw new StepFailed(`no test in ${specs.join(', ')}`);
  return { failed: said.numFailedTests, output };
}
