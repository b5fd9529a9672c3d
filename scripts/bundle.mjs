/**
 * Many files as the bodies of CommonJS modules, which a linker ties together: to find, read, compile and link hundreds of files takes
 * Node and Jest longer than to run them. A module runs when it is first asked for.
 */
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const builtins = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));

/**
 * All files that are reached from `entries`, by path.
 *
 * @param options.transformSync of SWC
 * @param options.resolve the path of what a file asks for, or undefined if that is not to be bundled
 * @param options.compileOwn `{ code, esm, waits }` of a source, undefined if the file belongs to a package. `waits`: at its top level
 */
export function collect(entries, { transformSync, resolve = resolvePlain, compileOwn = () => undefined }) {
  const found = new Map();
  const rest = [...entries];
  for (const path of rest) {
    if (found.has(path)) continue;
    const module = compileOwn(path) ?? compile(path, transformSync);
    found.set(path, { ...module, links: linksOf(path, module, resolve) });
    rest.push(...Object.values(found.get(path).links));
  }
  return found;
}

/** ES module to the body of a CommonJS module. */
export function toCommonJs(text, transformSync, options = {}) {
  const { code, map } = transformSync(text, {
    jsc: { target: 'es2022', parser: { syntax: 'ecmascript' } },
    ...options,
    swcrc: false,
    module: { type: 'commonjs', ignoreDynamic: true },
  });
  // Which files and packages an `import()` reaches is the linker's business as well.
  return { code: code.replace(/\bimport\(/g, '__import('), map };
}

/** A script whose value is `(path) => [links, run, esm]`, for {@link linker}. */
export function scriptOf(found) {
  const definitions = [...found].map(([path, module]) => {
    const parts = [JSON.stringify(module.links), bodyOf(module), String(module.esm)];
    return `${JSON.stringify(path)}: [${parts.join(', ')}]`;
  });
  return `((definitions) => (path) => definitions[path])({\n${definitions.join(',\n')}\n})`;
}

/** A function expression. Its first line is that of the code. */
export function bodyOf({ code, waits = false }) {
  const body = `function (module, exports, require, __filename, __dirname, __import) {${code}\n}`;
  return waits ? `async ${body}` : body;
}

/**
 * Runs modules. Its text is part of scripts that run in other contexts, so it uses nothing from outside.
 *
 * @param define `(path) => [links, run, esm]`
 * @param host.builtin how Node's own modules are loaded
 * @param host.require `(path) => require`, for what is not bundled
 * @param host.import the same for `import()`
 * @param host.find `(name, path)` to the path of a module whose name is known only when it is asked for, if it is bundled
 */
export function linker(define, host) {
  const loaded = new Map();
  const namespaces = new Map();
  const load = (path) => {
    const known = loaded.get(path);
    if (known) return known.exports;
    const [links, run, esm] = define(path);
    const module = { exports: {} };
    loaded.set(path, module);
    const within = (link) => (esm ? namespaceOf(link) : load(link));
    const require = (name) => {
      if (Object.hasOwn(links, name)) return within(links[name]);
      if (name === 'module' || name === 'node:module') return { createRequire: host.require };
      return host.builtin(name, path);
    };
    const dynamic = async (name) => {
      const link = Object.hasOwn(links, name) ? links[name] : host.find?.(name, path);
      return link === undefined ? host.import(name) : namespaceOf(link);
    };
    try {
      module.ended = run.call(module.exports, module, module.exports, require, path, directoryOf(path), dynamic);
    } catch (error) {
      loaded.delete(path);
      throw error;
    }
    return module.exports;
  };
  const directoryOf = (path) => path.slice(0, path.lastIndexOf('/'));
  /** What an ES module sees of a module: of one that is CommonJS, its exports as the default. */
  const namespaceOf = (path) => {
    const exports = load(path);
    if (define(path)[2]) return exports;
    const known = namespaces.get(path);
    if (known) return known;
    const names = Object(exports) === exports ? Object.getOwnPropertyDescriptors(exports) : {};
    const namespace = Object.defineProperties({}, { ...names, default: { value: exports, enumerable: true } });
    Object.defineProperty(namespace, '__esModule', { value: true });
    namespaces.set(path, namespace);
    return namespace;
  };
  return { load, ended: (path) => loaded.get(path).ended };
}

/** One file of a package as the body of a CommonJS module. */
function compile(path, transformSync) {
  const text = readFileSync(path, 'utf8');
  if (path.endsWith('.json')) return { code: `module.exports = ${text}`, esm: false };
  const esm = isEsm(path);
  return { code: esm ? toCommonJs(text, transformSync).code : text, esm };
}

function isEsm(path) {
  if (/\.[mc]js$/.test(path)) return path.endsWith('.mjs');
  for (let dir = dirname(path); ; dir = dirname(dir)) {
    const file = join(dir, 'package.json');
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).type === 'module';
  }
}

/** The bundled files that a module asks for, by the names that it uses for them. */
function linksOf(path, { code }, resolve) {
  const links = {};
  for (const [, name] of code.matchAll(/\b(?:require|__import)\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    if (builtins.has(name)) continue;
    const target = resolve(name, path);
    if (target !== undefined) links[name] = target;
  }
  return links;
}

function resolvePlain(name, from) {
  try {
    return createRequire(from).resolve(name);
  } catch {
    // Optional: its absence is met where the module asks for it.
    return undefined;
  }
}
