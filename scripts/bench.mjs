/**
 * `npm run bench [-- lock|cache|queue] [--quick] [--repeat N]`: the features' rows in apps/bench, measured on a private
 * server. Prints medians with their ranges and the ratio to raw, and writes apps/bench/results.json.
 */
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.mjs';
import { choose, discover, number } from './features.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, root, step, StepFailed, tsc } from './step.mjs';

const home = join(root, 'apps/bench');
const ROUNDS = { quick: 2, full: 5 };

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

  const { runRow, combine } = await built('bench.js');
  const benches = await Promise.all(chosen.map(([name]) => built(`${name}.bench.js`)));
  const rows = benches.flatMap((bench) => bench.default.rows);
  const runs = [];
  for (let i = 1; i <= repeat; i++) {
    if (repeat > 1) console.log(`run ${i} of ${repeat}`);
    runs.push(await measure(rows, values.quick ?? false, runRow));
  }
  writeFileSync(join(home, 'results.json'), `${JSON.stringify({ rows: combine(runs) }, null, 2)}\n`);
  console.log(`✓ apps/bench/results.json: ${rows.length} rows${repeat > 1 ? `, medians of ${repeat} runs` : ''}`);
  process.exit(0);
});

async function measure(rows, quick, runRow) {
  const { startRedis } = await import('nestjs-sluice/testing');
  const redis = await startRedis();
  try {
    const version = /version=([\d.]+)/.exec(redis.stdout)?.[1];
    const processors = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
    console.log(`Redis ${version}, nothing persisted; Node ${process.version}; ${processors}`);
    const results = [];
    for (const row of rows) {
      results.push(await runRow(row, { redis, quick, rounds: quick ? ROUNDS.quick : ROUNDS.full, print: console.log }));
    }
    return results;
  } finally {
    await redis.stop();
  }
}

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
