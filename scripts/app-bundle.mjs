/**
 * What forked apps run, as one script: an app is 700 files of Nest, ioredis and this package, and specs start a hundred of them. The
 * entry of each app becomes a file that asks the script for it.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { collect, linker, scriptOf, toCommonJs } from './bundle.mjs';

/** Loaded by Node: some are large, and few apps ask for them. */
const OUTSIDE = /node_modules\/(@electric-sql|js-redis-server|typescript|swagger-ui-dist)\//;

/**
 * @param dist the folder of what was built
 * @param texts TypeScript by the path that the compiled file has in `dist`
 * @param entries the paths of those that a process is started with
 * @param options.transformSync of SWC
 * @param options.swc its options
 */
export function bundleApps(dist, texts, entries, { transformSync, swc }) {
  const resolve = (name, from) => {
    const path = ownPath(dist, name, from) ?? packagePath(name, from);
    return path === undefined || OUTSIDE.test(path) ? undefined : path;
  };
  const compileOwn = (path) => {
    if (!texts.has(path)) return undefined;
    const options = { ...swc, filename: path };
    return { ...toCommonJs(texts.get(path), transformSync, options), esm: true, waits: entries.includes(path) };
  };
  const found = collect(entries, { transformSync, resolve, compileOwn });
  const groups = [...groupsOf(found)].map(([name, group]) => [name, scriptOf(group)]);
  // By its content: V8 tells by the length alone whether what it keeps of a script is still right.
  const hash = createHash('sha256').update(RUN);
  for (const [, script] of groups) hash.update(script);
  const dir = join(dist, 'bundle', hash.digest('hex').slice(0, 16));
  rmSync(dirname(dir), { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  for (const [name, script] of groups) writeFileSync(join(dir, `${name}.js`), script);
  writeFileSync(join(dir, 'run.cjs'), RUN);
  for (const path of entries) {
    const run = relative(dirname(path), join(dir, 'run.cjs'));
    writeFileSync(path, `import run from ${JSON.stringify(run)};\nawait run(import.meta.filename);\n`);
  }
}

/** One for each package: few apps need all of them, and a large script takes long to read. */
function groupsOf(found) {
  const groups = new Map();
  for (const [path, module] of found) {
    const name = groupOf(path);
    if (!groups.has(name)) groups.set(name, new Map());
    groups.get(name).set(path, module);
  }
  return groups;
}

/** Also the text of a function in {@link RUN}. */
function groupOf(path) {
  const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ??
    /.*\/dist\/([^/]+)/.exec(path) ?? ['', 'none'];
  return name.replace('/', '+');
}

function ownPath(dist, name, from) {
  if (name.startsWith('.') && !from.includes('/node_modules/')) return join(dirname(from), name);
  if (!/^nestjs-sluice(\/|$)/.test(name)) return undefined;
  return join(dist, 'esm', name.slice('nestjs-sluice/'.length) || 'sluice', 'index.js');
}

function packagePath(name, from) {
  try {
    return createRequire(from).resolve(name);
  } catch {
    // Optional: its absence is met where a module asks for it.
    return undefined;
  }
}

const RUN = `const { existsSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const { cachedDataVersionTag } = require('node:v8');
const { Script } = require('node:vm');

/** By then an app serves, and its functions are compiled. */
const KEPT_AFTER_MS = 2_000;
const scripts = new Map();
${groupOf.toString()}

function define(path) {
  const name = groupOf(path);
  if (!scripts.has(name)) scripts.set(name, scriptOf(join(__dirname, name + '.js')));
  return scripts.get(name)(path);
}

function scriptOf(filename) {
  if (!existsSync(filename)) return () => undefined;
  // What V8 compiled is kept for the processes after this one. It differs by the flags of Node.
  const kept = filename + '.' + cachedDataVersionTag();
  const cachedData = existsSync(kept) ? readFileSync(kept) : undefined;
  const script = new Script(readFileSync(filename, 'utf8'), { filename, cachedData });
  if (cachedData === undefined || script.cachedDataRejected) setTimeout(keep, KEPT_AFTER_MS, kept, script).unref();
  return script.runInThisContext();
}

function keep(file, script) {
  // Gone if there was a build since then.
  if (!existsSync(__dirname)) return;
  const draft = file + '.' + process.pid;
  writeFileSync(draft, script.createCachedData());
  renameSync(draft, file);
}

const { load, ended } = (${linker.toString()})(define, {
  builtin: (name, path) => createRequire(path)(name),
  import: (name) => import(name),
  find,
  require: (from) => {
    const plain = createRequire(from);
    return Object.assign((name) => (find(name, from) === undefined ? plain(name) : load(find(name, from))), plain);
  },
});

function find(name, from) {
  try {
    const path = createRequire(from).resolve(name);
    return define(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

module.exports = (path) => {
  load(path);
  return ended(path);
};
`;
