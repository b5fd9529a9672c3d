/** Node's environment with the bundled packages in it, see `jest-packages.mjs`. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { TestEnvironment } from 'jest-environment-node';
import { GLOBAL } from './jest-packages.mjs';

const builtin = createRequire(import.meta.url);
/** Compiled once per worker; what a spec makes V8 compile further serves the specs after it. */
let bundle;

export default class PackagesEnvironment extends TestEnvironment {
  async setup() {
    await super.setup();
    bundle ??= compile(join(process.env.SLUICE_JEST_PACKAGES, 'bundle.js'));
    // Filled by the stub that loads first.
    const host = {};
    this.global[GLOBAL] = { host, load: bundle.runInContext(this.getVmContext())(builtin, host) };
  }
}

const compile = (filename) => new Script(readFileSync(filename, 'utf8'), { filename });
