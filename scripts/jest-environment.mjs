/** Node's environment with the bundled packages and sources in it, see `jest-packages.mjs` and `jest-sources.mjs`. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { TestEnvironment } from 'jest-environment-node';
import { linker } from './bundle.mjs';
import { GLOBAL } from './jest-packages.mjs';
import { sourcesIn } from './jest-sources.mjs';

const builtin = createRequire(import.meta.url);
/** Compiled once per worker; what a spec makes V8 compile further serves the specs after it. */
let scripts;

export default class PackagesEnvironment extends TestEnvironment {
  #storages = [];

  async setup() {
    await super.setup();
    scripts ??= compileAll();
    const context = this.getVmContext();
    const run = (script) => script.runInContext(context);
    const packages = run(scripts.packages);
    const sources = (path) => scripts.sources(path, run);
    // Filled by the stub that loads first.
    const host = { builtin: (name) => this.#builtin(name) };
    const link = run(scripts.linker);
    const { load } = link((path) => sources(path) ?? packages(path), host);
    const loaded = (path) => [{}, (module) => void (module.exports = load(path)), packages(path)[2]];
    const copy = () => link((path) => sources(path) ?? loaded(path), host).load;
    this.global[GLOBAL] = { host, load, copy, builtins: { async_hooks: this.#asyncHooks() } };
  }

  async teardown() {
    for (const storage of this.#storages) storage.disable();
    await super.teardown();
  }

  /**
   * Each storage that is on makes every promise of the process more expensive. Those of a spec would stay on for all later specs of
   * its worker.
   */
  #asyncHooks() {
    const { AsyncLocalStorage, ...others } = builtin('node:async_hooks');
    const storages = this.#storages;
    class Recorded extends AsyncLocalStorage {
      constructor(...options) {
        super(...options);
        storages.push(this);
      }
    }
    return { ...others, AsyncLocalStorage: Recorded };
  }

  /** As Jest: Node's own modules, except that a spec's `process` is a copy. */
  #builtin(name) {
    const plain = name.replace(/^node:/, '');
    if (plain === 'process') return this.global.process;
    return this.global[GLOBAL].builtins[plain] ?? builtin(name);
  }
}

function compileAll() {
  const filename = join(process.env.SLUICE_JEST_PACKAGES, 'bundle.js');
  return {
    packages: new Script(readFileSync(filename, 'utf8'), { filename }),
    linker: new Script(`(${linker.toString()})`),
    sources: sourcesIn(process.env.SLUICE_JEST_SOURCES),
  };
}
