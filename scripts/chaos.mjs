/**
 * `npm run chaos [-- lock|cache|queue|limit] [--minutes N] [--scenario name] [--seed N] [--topology sentinel]`: the features'
 * scenarios in test/chaos, with real faults. The minutes are the total, split evenly; on a busy machine it takes longer. Without
 * them each runs to its own counts. With `--topology sentinel` those of test/chaos/sentinel, in which primaries fail.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.mjs';
import { choose, discover, number, parse } from './features.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, root, StepFailed } from './step.mjs';

await main(async () => {
  const flags = Object.fromEntries(
    ['minutes', 'scenario', 'seed', 'topology'].map((name) => [name, { type: 'string' }]),
  );
  const folder = folderOf(flags);
  const found = discover(join(root, folder), '.chaos.ts');
  const { chosen, values } = choose(found, flags);
  const minutes = number(values, 'minutes', 0);
  const seed = number(values, 'seed', 0) ?? randomInt(2 ** 31);

  await ensureInstalled();
  await ensureBuilt();
  await requireRedis();
  const { fairShare, runChaos } = await built('test/support/chaos.js');
  const suites = await Promise.all(chosen.map(([name]) => built(`${folder}/${name}.chaos.js`)));
  const features = suites.map((suite) => suite.default).filter((chaos) => has(chaos, values.scenario));
  if (features.length === 0)
    throw new StepFailed(`no scenario ${values.scenario ?? ''} in ${Object.keys(found).join(', ')}`);

  console.log(`seed ${seed}${minutes === undefined ? '' : `, ${minutes} minutes`}`);
  const tally = { passed: 0, failed: 0 };
  const wholeMs = minutes && minutes * 60_000;
  const deadline = performance.now() + (wholeMs ?? 0);
  for (const [i, chaos] of features.entries()) {
    const budgetMs = wholeMs && fairShare(wholeMs, deadline - performance.now(), features.length, i);
    const { passed, failed } = await runChaos(chaos, { budgetMs, scenario: values.scenario, seed, print: console.log });
    tally.passed += passed;
    tally.failed += failed;
  }
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
  // A scenario that hung has left its sockets open.
  process.exit(tally.failed > 0 ? 1 : 0);
});

/** Where the scenarios are: they differ by what they run against. */
function folderOf(options) {
  const { topology } = parse(process.argv.slice(2), options).values;
  if (topology === undefined) return 'test/chaos';
  if (topology !== 'sentinel') throw new StepFailed(`there is no topology '${topology}', only sentinel`);
  return `test/chaos/${topology}`;
}

function built(file) {
  return import(pathToFileURL(join(root, 'dist', file)).href);
}

function has(chaos, scenario) {
  return scenario === undefined || Object.hasOwn(chaos.scenarios, scenario);
}
