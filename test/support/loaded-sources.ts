/** The linker that loads the sources for specs: `scripts/jest-environment.mjs` puts it into each spec's context. */
interface Linker {
  /** A way to load the sources once more, beside those that the spec has. Packages stay the same. */
  copy: () => (path: string) => unknown;
  /** By the name of one of Node's modules: what the sources get instead, from when they first ask for it. */
  builtins: Record<string, unknown>;
}

function linker(): Linker {
  return (globalThis as unknown as { __sluicePackages: Linker })['__sluicePackages'];
}

/**
 * A second copy of the sources in one process. Returns how its files are loaded.
 *
 * @example
 * const theirs = secondCopy()(new URL('../index.ts', import.meta.url)) as typeof ours;
 */
export function secondCopy(): (file: URL) => unknown {
  const load = linker().copy();
  return ({ pathname }) => load(decodeURIComponent(pathname));
}

/** Puts `module` in the place of one of Node's own for the sources, which must be loaded after that. */
export function replaceBuiltin(name: string, module: object): void {
  linker().builtins[name] = module;
}
