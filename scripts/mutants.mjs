/**
 * `npm run mutants [-- feature ...]`: seeded faults. Each entry of test/mutants/<feature>.mutants.mjs,
 * `{ name, file, find, replace, specs }`, is put into a copy of the tree, alone, and its specs must then fail.
 * One that survives is a guard that no test needs: the run fails.
 *
 * What was killed is remembered and not tried again until its entry, its file or one of its specs changes: a run that was
 * stopped goes on where it was. What a fault's specs need besides those files is not looked at; `--all` tries all again.
 *
 * `--changed <ref>`: only faults whose entry, file or specs changed since that commit. `--jobs <n>`: so many at a time.
 */
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { choose, discover, number } from './features.mjs';
import { changedSince, KilledMutants, specsOf } from './mutant-choice.mjs';
import { MutantTree } from './mutant-tree.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, root, step, StepFailed } from './step.mjs';

const OPTIONS = {
  all: { type: 'boolean' },
  changed: { type: 'string' },
  jobs: { type: 'string' },
};

await main(async () => {
  const { chosen, values } = choose(discover(join(root, 'test/mutants'), '.mutants.mjs'), OPTIONS);
  if (chosen.length === 0) throw new StepFailed('there are no mutants yet');
  const jobs = number(values, 'jobs', 1) ?? 1;
  await ensureInstalled();
  await requireRedis();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

  const killed = new KilledMutants();
  const tally = { passed: 0, survivors: [] };
  const plan = [];
  for (const [feature, file] of chosen) {
    const all = (await import(pathToFileURL(file).href)).default;
    const changed = values.changed === undefined ? all : all.filter(await changedSince(values.changed, file));
    const due = changed.filter((mutant) => !killed.has(feature, mutant) || values.all);
    console.log(`${feature}: ${all.length} faults, ${due.length} to try, ${changed.length - due.length} killed before`);
    if (due.length > 0) plan.push([feature, due]);
  }

  const trees = [];
  for (const [feature, due] of plan) {
    while (trees.length < Math.min(jobs, due.length)) trees.push(new MutantTree());
    const specs = [...new Set(due.flatMap(specsOf))];
    await step(`${feature}: its specs pass without a fault`, () => trees[0].expectPass(specs));
    await Promise.all(trees.map((tree) => tryAll(tree, feature, due, killed, tally)));
  }
  for (const name of tally.survivors) console.log(`not killed: ${name}`);
  console.log(`${tally.passed} passed, ${tally.survivors.length} failed`);
  process.exit(tally.survivors.length > 0 ? 1 : 0);
});

/** Takes one fault after the other from `due`, as do the other trees. */
async function tryAll(tree, feature, due, killed, tally) {
  for (let mutant = due.shift(); mutant; mutant = due.shift()) {
    const name = `${feature}: ${mutant.name}`;
    try {
      await step(name, () => tree.tryMutant(mutant));
      killed.add(feature, mutant);
      tally.passed++;
    } catch (error) {
      if (!error.told) throw error;
      tally.survivors.push(name);
    }
  }
}
