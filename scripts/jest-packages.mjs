/**
 * The packages that nearly every spec loads, as one script. Jest gives each spec file modules of its own: 900 files of Nest, RxJS
 * and ioredis were found, read, compiled and linked again for each, which took longer than most specs. A worker compiles the script
 * once and runs it in each spec's own context, so specs still share no state.
 *
 * Each bundled file has a stub that stands in for it: `jest-resolver.mjs` resolves to the stub, whichever path led to the file, so
 * that there is one copy of each module. A module runs when it is first asked for.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInThisContext } from 'node:vm';
import { root } from './step.mjs';

const ENTRIES = ['@nestjs/core', '@nestjs/testing', '@nestjs/schedule', 'rxjs', 'reflect-metadata', 'ioredis'];

/** The name of the global through which stubs reach the bundle. */
export const GLOBAL = '__sluicePackages';

const modules = realpathSync(join(root, 'node_modules'));
const builtins = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));

/** The folder of the bundle and its stubs, made if these packages were not bundled before. `npm ci` deletes it. */
export async function ensureBundled() {
  const dir = join(modules, '.cache', `sluice-jest-${fingerprint()}`);
  if (existsSync(dir)) return dir;
  const made = `${dir}.${process.pid}`;
  await bundleInto(made);
  try {
    renameSync(made, dir);
  } catch (error) {
    // Another run was faster.
    if (!existsSync(dir)) throw error;
    rmSync(made, { recursive: true });
  }
  return dir;
}

/** What is installed, and how it is bundled. */
function fingerprint() {
  const hash = createHash('sha256');
  const inputs = [join(modules, '.package-lock.json'), fileURLToPath(import.meta.url)];
  for (const file of inputs) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

async function bundleInto(dir) {
  const { transformSync } = await import('@swc/core');
  const found = new Map();
  const requireHere = createRequire(join(root, 'package.json'));
  const rest = ENTRIES.map((name) => requireHere.resolve(name));
  for (const path of rest) {
    if (found.has(path)) continue;
    const module = compile(path, transformSync);
    found.set(path, module);
    rest.push(...Object.values(module.links));
  }
  const source = bundleOf(found);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'bundle.js'), source);
  writeFileSync(join(dir, 'host.mjs'), hostStub());
  const load = runInThisContext(source)(requireHere, { createRequire, import: (name) => import(name) });
  // Data has no state, and Jest knows it by its name.
  const stubs = [...found]
    .filter(([path]) => !path.endsWith('.json'))
    .map(([path, { esm }]) => [path, stubOf(path, esm)]);
  for (const [path, stub] of stubs) writeStub(dir, stub, path, load(path));
  writeFileSync(join(dir, 'stubs.json'), JSON.stringify(stubs));
}

/** One file as the body of a CommonJS module, with the bundled files that it requires by the names that it uses for them. */
function compile(path, transformSync) {
  const text = readFileSync(path, 'utf8');
  if (path.endsWith('.json')) return { code: `module.exports = ${text}`, links: {}, esm: false };
  const esm = isEsm(path);
  const code = esm ? toCommonJs(text, transformSync) : text;
  const links = {};
  const require = createRequire(path);
  for (const [, name] of code.matchAll(/\brequire\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    if (builtins.has(name)) continue;
    try {
      links[name] = require.resolve(name);
    } catch {
      // Optional: its absence is met where the module asks for it.
    }
  }
  return { code, links, esm };
}

function toCommonJs(text, transformSync) {
  const { code } = transformSync(text, {
    swcrc: false,
    jsc: { target: 'es2022', parser: { syntax: 'ecmascript' } },
    module: { type: 'commonjs', importInterop: 'node', ignoreDynamic: true },
  });
  // Packages that are not bundled are loaded by Jest.
  return code.replace(/\bimport\(/g, '__import(');
}

function isEsm(path) {
  if (/\.[mc]js$/.test(path)) return path.endsWith('.mjs');
  for (let dir = dirname(path); ; dir = dirname(dir)) {
    const file = join(dir, 'package.json');
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).type === 'module';
  }
}

function bundleOf(found) {
  const definitions = [...found].map(
    ([path, { code, links }]) =>
      `${JSON.stringify(path)}: [${JSON.stringify(links)}, function (module, exports, require, __filename, __dirname, __import) {\n${code}\n}]`,
  );
  return `(function (builtin, host) {
const definitions = {\n${definitions.join(',\n')}\n};
const loaded = new Map();
return function load(path) {
  const known = loaded.get(path);
  if (known) return known.exports;
  const [links, run] = definitions[path];
  const module = { exports: {} };
  loaded.set(path, module);
  const require = (name) => {
    if (name in links) return load(links[name]);
    return name === 'module' || name === 'node:module' ? { createRequire: host.createRequire } : builtin(name);
  };
  run.call(module.exports, module, module.exports, require, path, path.slice(0, path.lastIndexOf('/')), (name) => host.import(name));
  return module.exports;
};
})`;
}

/** Within the folder of the bundle. */
function stubOf(path, esm) {
  return relative(modules, path).split(sep).join('/') + (esm ? '.mjs' : '.cjs');
}

/** Jest's own ways to load what is not in the bundle. */
function hostStub() {
  return `import { createRequire } from 'node:module';
${GLOBAL}.host.createRequire = createRequire;
${GLOBAL}.host.import = (name) => import(name);
`;
}

function writeStub(dir, stub, path, exports) {
  const file = join(dir, stub);
  const load = `${GLOBAL}.load(${JSON.stringify(path)})`;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(
    file,
    stub.endsWith('.mjs')
      ? esmStub(relative(dirname(file), join(dir, 'host.mjs')), load, exports)
      : cjsStub(load, exports),
  );
}

function esmStub(host, load, exports) {
  const lines = Object.keys(exports).map((name) =>
    name === 'default' ? 'export default exports.default;' : `export const ${name} = exports.${name};`,
  );
  return `import ${JSON.stringify(host)};\nconst exports = ${load};\n${lines.join('\n')}\n`;
}

/** The line that never runs tells the names to an `import`, which reads them from the text. */
function cjsStub(load, exports) {
  const names = Object.keys(exports ?? {}).filter((name) => /^[\w$]+$/.test(name));
  return `module.exports = ${load};\n0 && (module.exports = { ${names.map((name) => `${name}: 0`).join(', ')} });\n`;
}
