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
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInThisContext } from 'node:vm';
import { collect, linker, scriptOf } from './bundle.mjs';
import { root } from './step.mjs';

const ENTRIES = [
  '@nestjs/core',
  '@nestjs/testing',
  '@nestjs/schedule',
  'rxjs',
  'reflect-metadata',
  'ioredis',
  'lru-cache',
];

/** The name of the global through which stubs reach the linker. */
export const GLOBAL = '__sluicePackages';

const modules = realpathSync(join(root, 'node_modules'));

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

/** What is installed, where, and how it is bundled. The folder may be a copy of another one, with its cache. */
function fingerprint() {
  const hash = createHash('sha256').update(modules);
  const scripts = ['./bundle.mjs', './jest-packages.mjs'].map((name) => fileURLToPath(new URL(name, import.meta.url)));
  for (const file of [join(modules, '.package-lock.json'), ...scripts]) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

async function bundleInto(dir) {
  const { transformSync } = await import('@swc/core');
  const requireHere = createRequire(join(root, 'package.json'));
  const found = collect(
    ENTRIES.map((name) => requireHere.resolve(name)),
    { transformSync },
  );
  const source = scriptOf(found);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'bundle.js'), source);
  writeHost(dir);
  const { load } = linker(runInThisContext(source), hostHere());
  // Data has no state, and Jest knows it by its name.
  const code = [...found].filter(([path]) => !path.endsWith('.json'));
  const stubs = code.map(([path, { esm }]) => [path, writeStub(dir, relative(modules, path), path, esm, load(path))]);
  writeFileSync(join(dir, 'stubs.json'), JSON.stringify(stubs));
}

/** For a linker that runs in this process, to learn what modules export. */
export function hostHere() {
  return {
    builtin: (name, path) => createRequire(path)(name),
    require: createRequire,
    import: (name) => import(name),
  };
}

/** Jest's own ways to load what is not in the bundle. */
export function writeHost(dir) {
  writeFileSync(
    join(dir, 'host.mjs'),
    `import { createRequire } from 'node:module';
${GLOBAL}.host.require = createRequire;
${GLOBAL}.host.import = (name) => import(name);
`,
  );
}

/** Writes what stands in for a module, within the folder of the bundle. Returns where. */
export function writeStub(dir, name, path, esm, exports) {
  const stub = name.split(sep).join('/') + (esm ? '.mjs' : '.cjs');
  const file = join(dir, stub);
  const load = `${GLOBAL}.load(${JSON.stringify(path)})`;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(
    file,
    esm ? esmStub(relative(dirname(file), join(dir, 'host.mjs')), load, exports) : cjsStub(load, exports),
  );
  return stub;
}

function esmStub(host, load, exports) {
  const lines = Object.keys(exports).map((name) =>
    name === 'default' ? 'export default exports.default;' : `export const ${name} = exports.${name};`,
  );
  return `import ${JSON.stringify(host.startsWith('.') ? host : `./${host}`)};\nconst exports = ${load};\n${lines.join('\n')}\n`;
}

/** The line that never runs tells the names to an `import`, which reads them from the text. */
function cjsStub(load, exports) {
  const names = Object.keys(exports ?? {}).filter((name) => /^[\w$]+$/.test(name));
  return `module.exports = ${load};\n0 && (module.exports = { ${names.map((name) => `${name}: 0`).join(', ')} });\n`;
}
