/**
 * Builds `dist`: the package as ESM and as CommonJS, then the demo and the test apps, which import the package by its
 * name and so through what was just built. Does nothing if the sources are those of the last build.
 *
 * `--quick`: only what apps run that a spec forks, as one script and without a look at the types, in a tenth of the time.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundleApps } from './app-bundle.mjs';
import { ensureInstalled } from './setup.mjs';
import { isMain, main, root, step, tsc } from './step.mjs';

const INPUTS = [
  'package.json',
  'package-lock.json',
  'libs',
  'apps/demo',
  'scripts/app-bundle.mjs',
  'scripts/bundle.mjs',
  'test/apps',
  'test/chaos',
  'test/model',
  'test/support',
];
/** What a process is started with, by the start of the path. */
const ENTRIES = [
  'test/apps/',
  'apps/demo/src/launcher.ts',
  'apps/demo/src/launcher/postgres-process.ts',
  'apps/demo/src/main.ts',
];
const dist = join(root, 'dist');
const stamp = join(dist, '.sources');
const quickStamp = join(dist, '.sources-quick');

/** Whether `dist` was built from these sources. */
export const isBuilt = () => isOf(stamp, fingerprint());

/** Whether what forked apps run was built from these sources. */
export function isBuiltForApps() {
  const sources = fingerprint();
  return isOf(stamp, sources) || isOf(quickStamp, sources);
}

const isOf = (file, sources) => existsSync(file) && readFileSync(file, 'utf8') === sources;

export async function ensureBuilt() {
  await step('build', async () => {
    if (isBuilt()) return 'up to date';
    await build();
  });
}

/** What forked apps and the demo run, and no more: a test of the sources needs no CommonJS and no declarations. */
export async function ensureBuiltForApps() {
  await step('quick build', async () => {
    if (isBuiltForApps()) return 'up to date';
    await buildQuickly();
  });
}

async function build() {
  const sources = fingerprint();
  rmSync(dist, { recursive: true, force: true });
  await allOf([commonjs(), esm()]);
  // Last, so that a build which failed or was interrupted is not taken for one.
  writeFileSync(stamp, sources);
}

/** As Jest compiles: file by file, without types. Nothing is deleted that other sources left. */
async function buildQuickly() {
  const [{ transformSync }, { default: jest }] = await Promise.all([
    import('@swc/core'),
    import(pathToFileURL(join(root, 'jest.config.mjs')).href),
  ]);
  const [[, swc]] = Object.values(jest.transform);
  const sources = fingerprint();
  rmSync(stamp, { force: true });
  const files = INPUTS.flatMap(filesOf).filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
  const target = (file) => join(dist, file.replace(/^libs\b/, 'esm').replace(/\.ts$/, '.js'));
  const texts = new Map(files.map((file) => [target(file), readFileSync(join(root, file), 'utf8')]));
  const entries = files.filter((file) => ENTRIES.some((entry) => file.startsWith(entry))).map(target);
  for (const dir of new Set(entries.map(dirname))) mkdirSync(dir, { recursive: true });
  bundleApps(dist, texts, entries, { transformSync, swc });
  writeFileSync(quickStamp, sources);
}

async function esm() {
  await tsc('tsconfig.build.json');
  await tsc('tsconfig.apps.json');
}

async function commonjs() {
  await tsc('tsconfig.cjs.json');
  // The package is "type": "module"; below here, .js means CommonJS.
  writeFileSync(join(dist, 'cjs', 'package.json'), '{ "type": "commonjs" }\n');
}

/** Waits for all before it fails: no compiler may still write into the next build's output. */
async function allOf(works) {
  const failure = (await Promise.allSettled(works)).find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

/** A hash of everything that the build reads, by content. Specs are not built. */
function fingerprint() {
  const hash = createHash('sha256');
  const configs = readdirSync(root).filter((name) => /^tsconfig.*\.json$/.test(name));
  for (const file of [...INPUTS, ...configs].sort().flatMap(filesOf)) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

function filesOf(path) {
  const stat = statSync(join(root, path), { throwIfNoEntry: false });
  if (!stat?.isDirectory()) return stat ? [path] : [];
  return readdirSync(join(root, path))
    .sort()
    .map((name) => join(path, name))
    .flatMap(filesOf)
    .filter((file) => !file.endsWith('.spec.ts'));
}

if (isMain(import.meta.url)) {
  await main(async () => {
    await ensureInstalled();
    await (process.argv.includes('--quick') ? ensureBuiltForApps() : ensureBuilt());
  });
}
