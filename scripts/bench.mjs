/**
 * `npm run bench [-- lock|cache|queue] [--quick] [--repeat N]`: the features' rows in apps/bench, measured on a private
 * server next to the libraries one would otherwise pick. Prints medians with their ranges and the ratio to raw, and
 * writes apps/bench/results.json. What is measured against is installed in apps/bench on the first run.
 */
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.mjs';
import { choose, discover, number } from './features.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, root, step, StepFailed, tsc } from './step.mjs';

const home = join(root, 'apps/bench');

await main(async () => {
  const found = discover(home, '.bench.ts');
  const { chosen, values } = choose(found, { quick: { type: 'boolean' }, repeat: { type: 'string' } });
  const repeat = number(values, 'repeat', 1) ?? 1;
  if (chosen.length === 0) throw new StepFailed('there is no benchmark yet');

  await ensureInstalled();
  await ensureBuilt();
  await ensureInstalled(home);
  linkPackage();
  await step('build the benchmarks', () => tsc('apps/bench/tsconfig.build.json'));
  await requireRedis();

  const { run } = await built('run.js');
  const modules = await Promise.all(chosen.map(([name]) => built(`${name}.bench.js`)));
  const benches = modules.map((module) => module.default);
  const { rows } = await run({ benches, quick: values.quick ?? false, repeat, print: console.log });
  writeFileSync(join(home, 'results.json'), `${JSON.stringify({ rows }, null, 2)}\n`);
  console.log(`✓ apps/bench/results.json: ${rows.length} rows${repeat > 1 ? `, medians of ${repeat} runs` : ''}`);
  // Some of what is measured against leaves timers behind.
  process.exit(0);
});

/**
 * The package under its name, as npm links a `file:../..`. It is not a dependency in apps/bench/package.json, because
 * npm copies what a linked package wants into the lock file, and `npm ci` would fail here after every change over there.
 */
function linkPackage() {
  const link = join(home, 'node_modules', 'nestjs-sluice');
  if (!existsSync(link)) symlinkSync('../../..', link, 'dir');
}

function built(file) {
  return import(pathToFileURL(join(home, 'dist/apps/bench', file)).href);
}
