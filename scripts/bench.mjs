/**
 * `npm run bench [-- lock|cache|queue|limit] [--quick] [--repeat N] [--write]`: the features' rows in apps/bench, measured on a
 * private server next to the libraries one would otherwise pick. Prints medians with their ranges and the ratio to raw,
 * and writes apps/bench/results.json. What is measured against is installed in apps/bench on the first run.
 *
 * --quick   a first look: less work, one round, no plots
 * --repeat  all rows so often, each time on a fresh server; tells how many of the runs met each target
 * --write   writes docs/benchmarks.md and its plots
 *
 * `npm run bench -- interleavings [--repeat N]`: plays the orders of events in which caches go wrong with Sluice and the others, and
 * writes the table into docs/comparison/cache.md. `npm run bench -- limit-faults` does the same for rate limiters.
 */
import { existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.mjs';
import { choose, discover, number } from './features.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, root, step, StepFailed, tool, tsc } from './step.mjs';

const home = join(root, 'apps/bench');
const FLAGS = { quick: { type: 'boolean' }, repeat: { type: 'string' }, write: { type: 'boolean' } };

const NO_ROWS = {
  interleavings: {
    page: 'docs/comparison/cache.md',
    write: async (page, runs) => (await built('interleavings/interleavings.js')).writeInterleavings(page, runs),
  },
  'limit-faults': {
    page: 'docs/comparison/rate-limits.md',
    write: async (page, runs) => (await built('limit-faults/faults.js')).writeLimitFaults(page, runs),
  },
};

await main(async () => {
  const found = discover(home, '.bench.ts');
  const play = process.argv.find((word) => Object.hasOwn(NO_ROWS, word));
  const { chosen, values } = choose(play ? { [play]: home } : found, FLAGS);
  const { quick = false, write = false } = values;
  const repeat = number(values, 'repeat', 1) ?? 1;
  if (chosen.length === 0) throw new StepFailed('there is no benchmark yet');
  if (write && !play && chosen.length < Object.keys(found).length) throw new StepFailed('--write needs all features');

  await ensureInstalled();
  await ensureBuilt();
  await ensureInstalled(home);
  linkPackage();
  await step('build the benchmarks', () => tsc('apps/bench/tsconfig.build.json'));
  await requireRedis();

  if (play) {
    await compare(NO_ROWS[play], number(values, 'repeat', 1) ?? 3);
    process.exit(0);
  }

  const { run, runCurves } = await built('run.js');
  const modules = await Promise.all(chosen.map(([name]) => built(`${name}.bench.js`)));
  const benches = modules.map((module) => module.default);
  const request = { benches, quick, repeat, print: console.log };
  const result = await run(request);
  writeFileSync(join(home, 'results.json'), `${JSON.stringify({ rows: result.rows }, null, 2)}\n`);
  const runs = repeat > 1 ? `, medians of ${repeat} runs` : '';
  console.log(`✓ apps/bench/results.json: ${result.rows.length} rows${runs}`);
  const measured = quick && !write ? [] : await runCurves(request);
  if (write) await writeDocs(result, measured);
  // Some of what is measured against leaves timers behind.
  process.exit(0);
});

async function compare({ page, write }, runs) {
  await write(join(root, page), runs);
  await tool('prettier/bin/prettier.cjs', ['--write', page]);
  console.log(`✓ ${page}`);
}

async function writeDocs(result, measured) {
  const { plot } = await built('plot.js');
  const { report } = await built('report.js');
  mkdirSync(join(root, 'docs/benchmarks'), { recursive: true });
  for (const { curve, series } of measured) {
    writeFileSync(join(root, 'docs/benchmarks', `${curve.name}.svg`), await plot(curve, series));
  }
  const page = 'docs/benchmarks.md';
  writeFileSync(join(root, page), report({ ...result, curves: measured.map(({ curve }) => curve) }));
  await tool('prettier/bin/prettier.cjs', ['--write', page]);
  console.log(`✓ ${page} and ${measured.length} plots`);
}

/**
 * The package under its name, as npm links a `file:../..`. It is not a dependency in apps/bench/package.json, because
 * npm copies what a linked package wants into the lock file, and `npm ci` would fail here after every change over there.
 */
function linkPackage() {
  const link = join(home, 'node_modules', 'nestjs-sluice');
  if (!existsSync(link)) symlinkSync('../../..', link, 'dir');
  // apps/bench/node_modules may itself be a link to another checkout's: then that one would be measured.
  const linked = realpathSync(link);
  if (linked !== realpathSync(root)) throw new StepFailed(`${link} is ${linked}, so that would be measured; remove it`);
}

function built(file) {
  return import(pathToFileURL(join(home, 'dist/apps/bench', file)).href);
}
