/**
 * The sources as Jest loads them: compiled once, for all workers, and run by the linker of `bundle.mjs` together with the packages of
 * `jest-packages.mjs`. Jest would find, read, compile and link 150 files again for most spec files. Specs themselves are loaded by Jest.
 *
 * Each file is a script by its own name with a source map, so that stacks of failed tests tell the line.
 */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInThisContext, Script } from 'node:vm';
import { bodyOf, collect, linker, toCommonJs } from './bundle.mjs';
import { hostHere, writeHost, writeStub } from './jest-packages.mjs';
import { root } from './step.mjs';

const SOURCES = ['libs', 'test/support'];
/** Folders of earlier sources that are kept: a run beside this one may use the last of them. */
const KEPT = 4;
const cache = join(root, '.cache', 'jest-sources');

/** The folder of the compiled sources and their stubs, made if these sources were not compiled before. */
export async function ensureCompiled(packages, swc) {
  const files = SOURCES.flatMap(filesOf);
  const texts = new Map(files.map((file) => [join(root, file), readFileSync(join(root, file), 'utf8')]));
  const dir = join(cache, fingerprint(packages, swc, texts));
  if (existsSync(dir)) {
    const now = new Date();
    utimesSync(dir, now, now);
    return dir;
  }
  const made = `${dir}.${process.pid}`;
  await compileInto(made, packages, swc, texts);
  try {
    renameSync(made, dir);
  } catch (error) {
    // Another run was faster.
    if (!existsSync(dir)) throw error;
    rmSync(made, { recursive: true });
  }
  forgetOld();
  return dir;
}

/**
 * `(path, run)` to what a linker wants of a source, undefined of other files.
 *
 * @param run runs a script in some context; a script is compiled once per worker
 */
export function sourcesIn(dir) {
  const links = new Map(JSON.parse(readFileSync(join(dir, 'links.json'), 'utf8')));
  const scripts = new Map();
  return (path, run) => {
    const found = links.get(path);
    if (!found) return undefined;
    if (!scripts.has(path)) scripts.set(path, scriptIn(dir, path));
    return [found, run(scripts.get(path)), true];
  };
}

function scriptIn(dir, path) {
  const filename = join(dir, `${relative(root, path)}.js`);
  return new Script(readFileSync(filename, 'utf8'), { filename });
}

function fingerprint(packages, swc, texts) {
  const hash = createHash('sha256');
  hash.update(packages).update(JSON.stringify(swc));
  for (const name of ['./bundle.mjs', './jest-sources.mjs'])
    hash.update(readFileSync(fileURLToPath(new URL(name, import.meta.url))));
  for (const [path, text] of texts) hash.update(`${path}\0${text}\0`);
  return hash.digest('hex').slice(0, 16);
}

async function compileInto(dir, packages, swc, texts) {
  const { transformSync } = await import('@swc/core');
  const bundled = JSON.parse(readFileSync(join(packages, 'stubs.json'), 'utf8')).map(([path]) => path);
  const known = new Set([...bundled, ...texts.keys()]);
  const requireHere = createRequire(join(root, 'package.json'));
  // Jest loads them and what loads them. It also tells best why one does not compile.
  const left = new Set();
  const resolve = (name, from) => {
    const path = ownPath(name, from) ?? loadedOr(undefined, () => requireHere.resolve(name));
    // A package that only some apps have: the code that asks for it meets its absence.
    if (path === undefined) return undefined;
    if (known.has(path)) return path;
    left.add(from);
    return undefined;
  };
  const compileOwn = (path) => {
    if (!texts.has(path)) return { code: '', esm: false };
    const options = { ...swc, filename: path, sourceMaps: true };
    try {
      return { ...toCommonJs(texts.get(path), transformSync, options), esm: true };
    } catch {
      left.add(path);
      return { code: '', esm: true };
    }
  };
  const found = collect([...texts.keys()], { transformSync, resolve, compileOwn });
  const own = [...texts.keys()].filter((path) => !reaches(left, path, found));
  mkdirSync(dir, { recursive: true });
  writeHost(dir);
  for (const path of own) writeScript(dir, path, found.get(path));
  writeFileSync(join(dir, 'links.json'), JSON.stringify(own.map((path) => [path, found.get(path).links])));
  const { load } = linker(defineHere(dir, packages), hostHere());
  const stubs = own.flatMap((path) => {
    const exports = loadedOr(undefined, () => load(path));
    return exports ? [[path, writeStub(dir, relative(root, path), path, true, exports)]] : [];
  });
  writeFileSync(join(dir, 'stubs.json'), JSON.stringify(stubs));
}

/** A source that throws while it is loaded shall do so in the specs that load it. So shall a package that is missing. */
function loadedOr(fallback, load) {
  try {
    return load();
  } catch {
    return fallback;
  }
}

/** Whether a file of `targets` is loaded with the one at `path`. */
function reaches(targets, path, found, seen = new Set()) {
  if (targets.has(path)) return true;
  if (seen.has(path)) return false;
  seen.add(path);
  return Object.values(found.get(path).links).some((link) => reaches(targets, link, found, seen));
}

function writeScript(dir, path, { code, map }) {
  const file = join(dir, `${relative(root, path)}.js`);
  mkdirSync(dirname(file), { recursive: true });
  const inline = `//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString('base64')}`;
  writeFileSync(file, `(${bodyOf({ code })})\n${inline}\n`);
}

function defineHere(dir, packages) {
  const sources = sourcesIn(dir);
  const others = runInThisContext(readFileSync(join(packages, 'bundle.js'), 'utf8'));
  return (path) => sources(path, (script) => script.runInThisContext()) ?? others(path);
}

function ownPath(name, from) {
  if (name.startsWith('.')) return join(dirname(from), name).replace(/\.js$/, '.ts');
  const [, lib] = /^nestjs-sluice(?:\/(.*))?$/.exec(name) ?? [];
  if (/^nestjs-sluice(\/|$)/.test(name)) return join(root, 'libs', lib ?? 'sluice', 'index.ts');
  return undefined;
}

function filesOf(dir) {
  return readdirSync(join(root, dir), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const file = `${dir}/${entry.name}`;
      if (entry.isDirectory()) return filesOf(file);
      return file.endsWith('.ts') && !/\.(spec|d)\.ts$/.test(file) ? [file] : [];
    });
}

function forgetOld() {
  const dirs = readdirSync(cache).map((name) => join(cache, name));
  const age = new Map(dirs.map((dir) => [dir, statSync(dir, { throwIfNoEntry: false })?.mtimeMs ?? 0]));
  dirs.sort((a, b) => age.get(b) - age.get(a));
  for (const dir of dirs.slice(KEPT)) rmSync(dir, { recursive: true, force: true });
}
