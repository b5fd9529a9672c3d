/** The package as it was before, packed: what stands beside the present one during a rolling deploy. */
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, StepFailed } from './step.mjs';

/** Specs are not packed. */
const SOURCES = ['libs', ':(exclude)*.spec.ts'];

const git = async (...args) => (await run('git', args)).output.trim();

/**
 * The last commit whose package differs from the tree's. `SLUICE_PREVIOUS` names another, for example a tag.
 *
 * @throws StepFailed where the history does not reach so far
 */
export async function previousCommit() {
  const named = process.env.SLUICE_PREVIOUS;
  if (named) return git('rev-parse', '--verify', `${named}^{commit}`);
  if ((await git('rev-parse', '--is-inside-work-tree').catch(() => '')) !== 'true')
    throw new StepFailed('this is no clone, so there is no commit before: run it in a clone of the repository');
  if (await git('status', '--porcelain', '--', ...SOURCES)) return git('rev-parse', 'HEAD');
  const last = await git('log', '-1', '--format=%H', '--', ...SOURCES);
  try {
    return await git('rev-parse', '--verify', `${last}^`);
  } catch {
    throw new StepFailed(
      'the history is shallow and has no commit before the last change of libs: git fetch --unshallow',
    );
  }
}

/** Builds a commit's package in `dir`, as ESM, and packs it. Resolves to the tarball. */
export async function packCommit(commit, dir) {
  const tree = join(dir, 'tree');
  mkdirSync(tree, { recursive: true });
  const archive = join(dir, 'tree.tar');
  await run('git', ['archive', '--output', archive, commit]);
  await run('tar', ['-xf', archive, '-C', tree]);
  rmSync(archive);
  // The present dependencies: only the package itself differs.
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  // Its types were checked when it was landed.
  await run(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--noCheck', '--declaration', 'false'],
    {
      cwd: tree,
    },
  );
  mkdirSync(join(tree, 'dist/cjs'), { recursive: true });
  writeFileSync(join(tree, 'dist/cjs/package.json'), '{ "type": "commonjs" }\n');
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', dir], { cwd: tree });
  return join(
    dir,
    readdirSync(dir).find((file) => file.endsWith('.tgz')),
  );
}
