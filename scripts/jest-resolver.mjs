/** Resolves as Jest does, except that a file of a bundled package is its stub: see `jest-packages.mjs`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

let stubs;

export default {
  sync(name, options) {
    const path = options.defaultResolver(name, options);
    // Not set while Jest itself looks for its own parts.
    if (!process.env.SLUICE_JEST_PACKAGES) return path;
    stubs ??= readStubs(process.env.SLUICE_JEST_PACKAGES);
    return stubs.get(path) ?? path;
  },
};

function readStubs(dir) {
  return new Map(
    JSON.parse(readFileSync(join(dir, 'stubs.json'), 'utf8')).map(([path, stub]) => [path, join(dir, stub)]),
  );
}
