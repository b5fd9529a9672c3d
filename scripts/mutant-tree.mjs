/** A copy of the tree, in which faults are seeded one at a time and specs are run. */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { root, run, StepFailed } from './step.mjs';

/** All specs of a feature, without a fault, on a loaded machine. */
const BASELINE_WITHIN_MS = 60 * 60_000;
/** A fault may make its specs hang, which is a way to fail. */
const SPECS_WITHIN_MS = 5 * 60_000;
/** How long Jest may take to exit once it has told its results. */
const EXITS_WITHIN_MS = 15_000;
/** Shorter than otherwise, for many faults make a test wait until its deadline. The specs pass like this without a fault. */
const TEST_WITHIN_MS = 30_000;
const UNTIL_WITHIN_MS = 15_000;

const LEFT_OUT = new Set(['node_modules', 'dist', '.git', '.cache', 'coverage']);

export class MutantTree {
  #path;

  constructor() {
    // Real, as Jest sees it.
    const path = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-mutants-')));
    this.#path = path;
    // What writes there is killed before this (`run` with `group`), but may take a moment to be gone.
    process.once('exit', () => rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));
    const copied = (file) =>
      !relative(root, file)
        .split(sep)
        .some((name) => LEFT_OUT.has(name));
    cpSync(root, path, { recursive: true, filter: copied });
    symlinkSync(realpathSync(join(root, 'node_modules')), join(path, 'node_modules'));
  }

  /**
   * Resolves if the specs pass as they are; a fault proves nothing otherwise. Files that fail are tried once more, alone: on a
   * loaded machine, the deadlines of this run are short.
   */
  async expectPass(specs) {
    const first = await this.#runBuilt(specs, [], BASELINE_WITHIN_MS);
    if (first.failed === 0 && !first.hangs) return 'at once';
    if (first.failedFiles.length === 0) throw new StepFailed('they do not', first.output);
    const again = await this.#runBuilt(first.failedFiles, ['--runInBand'], BASELINE_WITHIN_MS);
    if (again.failed !== 0 || again.hangs) throw new StepFailed('they do not', again.output);
    return `${first.failedFiles.join(', ')} only at the second try`;
  }

  /** Seeds a fault, runs its specs and mends it. Returns how it was killed; rejects if it survived. */
  async tryMutant({ file, find, replace, specs }) {
    const path = join(this.#path, file);
    const original = readFileSync(path, 'utf8');
    const found = original.split(find).length - 1;
    if (found !== 1) throw new StepFailed(`its text is ${found} times in ${file}, not once`);
    writeFileSync(
      path,
      original.replace(find, () => replace),
    );
    try {
      const failFast = ['--env', join(this.#path, 'scripts/fail-fast.environment.mjs')];
      const { failed, hangs } = await this.#runBuilt(specs, failFast, SPECS_WITHIN_MS);
      if (failed > 0) return `killed by ${failed}`;
      if (hangs) return 'killed: the specs hang';
      throw new StepFailed(`SURVIVED ${specs.join(', ')}`);
    } finally {
      writeFileSync(path, original);
    }
  }

  /** Specs that fork apps refuse to run what was not built from these sources; others need no build. */
  async #runBuilt(specs, flags, withinMs) {
    const result = await this.#runSpecs(specs, flags, withinMs);
    if (!/dist is older than the sources|is not built: npm run build/.test(result.output)) return result;
    await run(process.execPath, ['scripts/build.mjs', '--quick'], { cwd: this.#path, group: true });
    return this.#runSpecs(specs, flags, withinMs);
  }

  /** How many tests failed, in which files, and whether they had to be stopped. A spec that cannot even be loaded proves nothing. */
  async #runSpecs(specs, flags, withinMs) {
    const report = join(this.#path, 'report.json');
    const marker = join(this.#path, 'failed');
    for (const file of [report, marker]) rmSync(file, { force: true });
    const args = ['--ci', '--json', '--outputFile', report, '--testTimeout', String(TEST_WITHIN_MS), ...flags];
    const env = {
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --disable-warning=ExperimentalWarning`,
      SLUICE_UNTIL_MS: String(UNTIL_WITHIN_MS),
      SLUICE_FAILED_MARKER: marker,
    };
    const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', ...args, ...specs];
    const ends = new AbortController();
    const told = stopAfterReport(report, ends);
    let output;
    let hangs = false;
    try {
      ({ output } = await run(process.execPath, jest, {
        ...{ cwd: this.#path, env, withinMs, signal: ends.signal, group: true },
      }));
    } catch (error) {
      output = error.output;
      hangs = ends.signal.aborted || error.message.endsWith('SIGKILL');
    } finally {
      clearInterval(told);
    }
    if (!existsSync(report)) {
      if (!hangs) fail('Jest told no results', output);
      return { failed: 0, failedFiles: [], hangs, output };
    }
    const said = JSON.parse(readFileSync(report, 'utf8'));
    if (said.numRuntimeErrorTestSuites > 0) fail('the specs cannot be loaded', output);
    if (said.numTotalTests === 0) fail(`no test in ${specs.join(', ')}`, output);
    const failedFiles = said.testResults.filter(({ status }) => status === 'failed').map(({ name }) => name);
    return {
      failed: said.numFailedTests,
      failedFiles: failedFiles.map((name) => relative(this.#path, name)),
      hangs,
      output,
    };
  }
}

function fail(message, output) {
  throw new StepFailed(message, output);
}

/** Ends Jest when it has told its results and does not exit: a fault may have left a socket or a timer open. */
function stopAfterReport(report, ends) {
  let since;
  return setInterval(() => {
    if (since === undefined && existsSync(report)) since = performance.now();
    if (since !== undefined && performance.now() - since > EXITS_WITHIN_MS) ends.abort();
  }, 1_000);
}
