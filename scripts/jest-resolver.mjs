/** Resolves as Jest does, except that a bundled file is its stub: see `jest-packages.mjs` and `jest-sources.mjs`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

let stubs;

export default {
  sync(name, options) {
    const path = options.defaultResolver(name, options);
    // Not set while Jest itself looks for its own parts.
    if (!process.env.SLUICE_JEST_SOURCES) return path;
    stubs ??= new Map([process.env.SLUICE_JEST_PACKAGES, process.env.SLUICE_JEST_SOURCES].flatMap(stubsIn));
    return stubs.get(path) ?? path;
  },
};

function stubsIn(dir) {
  return JSON.parse(readFileSync(join(dir, 'stubs.json'), 'utf8')).map(([path, stub]) => [path, join(dir, stub)]);
}
