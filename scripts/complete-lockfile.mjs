/**
 * Completes a lock file, so that `npm ci` works with it on any platform and any registry.
 *
 *   node scripts/complete-lockfile.mjs [--check] [file ...]
 *
 * A registry mirror may carry only some platforms' binaries, and npm then leaves the others out of the lock; `npm ci`
 * elsewhere finds them in a package's optionalDependencies, misses them in the lock and gives up. Their entries need no
 * more than their version, which such packages pin. The platform, read off the name, lets npm skip them unfetched.
 * Download addresses are dropped: npm derives them from whatever registry it is configured for.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMain, main, root, StepFailed } from './step.mjs';

const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const CPU = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];
const LIBC = { gnu: 'glibc', gnueabihf: 'glibc', glibc: 'glibc', musl: 'musl', musleabihf: 'musl' };

/** The completed text of a lock file; the same text if nothing is missing. */
export function complete(text) {
  const lock = JSON.parse(text);
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      if (resolves(lock.packages, path, name)) continue;
      if (!/^\d+\.\d+\.\d+\S*$/.test(range)) {
        throw new StepFailed(
          `${path} wants ${name}@${range}, which is not locked, and no version can be read off that`,
        );
      }
      lock.packages[`node_modules/${name}`] = missing(name, range, entry);
    }
  }
  for (const entry of Object.values(lock.packages)) {
    // A link's `resolved` is a folder and stays.
    if (!entry.link) delete entry.resolved;
  }
  lock.packages = sorted(lock.packages);
  return `${JSON.stringify(lock, null, 2)}\n`;
}

/** Whether a package at `path` finds `name`, walking up as Node does. */
function resolves(packages, path, name) {
  for (let dir = path; ; dir = dir.slice(0, Math.max(dir.lastIndexOf('/node_modules/'), 0))) {
    if (packages[`${dir && `${dir}/`}node_modules/${name}`]) return true;
    if (dir === '') return false;
  }
}

function missing(name, version, parent) {
  const words = name.split(/[^a-z0-9]+/);
  const os = words.filter((word) => OS.includes(word));
  const cpu = words.filter((word) => CPU.includes(word));
  const libc = words.flatMap((word) => LIBC[word] ?? []);
  return {
    version,
    ...(cpu.length === 1 ? { cpu } : {}),
    ...(parent.dev ? { dev: true } : {}),
    ...(libc.length === 1 ? { libc } : {}),
    optional: true,
    ...(os.length === 1 ? { os } : {}),
  };
}

/** In npm's own order, so that its next run changes nothing. */
function sorted(packages) {
  return Object.fromEntries(Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
}

async function completeFiles(args) {
  const check = args.includes('--check');
  const files = args.filter((arg) => arg !== '--check');
  for (const file of files.length > 0 ? files : [join(root, 'package-lock.json')]) {
    const text = readFileSync(file, 'utf8');
    const completed = complete(text);
    if (completed === text) continue;
    if (check) throw new StepFailed(`${file} is incomplete: node scripts/complete-lockfile.mjs ${file}`);
    writeFileSync(file, completed);
    console.log(`✓ completed ${file}`);
  }
}

if (isMain(import.meta.url)) await main(() => completeFiles(process.argv.slice(2)));
