/** Debian's redis-server without root: the packages are downloaded and unpacked into a cache folder, nothing is installed. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { run, StepFailed } from './step.mjs';

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'nestjs-sluice');
const home = join(cache, 'redis');

/** Where the unpacked server can be started; it may not be there yet. */
export const cachedRedis = join(home, 'redis-server');

export async function unpackDebianRedis() {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'unpack-'));
  try {
    await fetchPackages(work, ['redis-server', 'redis-tools']);
    await addMissingLibraries(work);
    const start = join(work, 'redis-server');
    writeFileSync(start, wrapper(libraryFolders(work)));
    chmodSync(start, 0o755);
    await run(start, ['--version']);
    for (const name of readdirSync(work)) {
      if (name === 'apt' || name.endsWith('.deb')) rmSync(join(work, name), { recursive: true });
    }
    // Whole or not at all: another checkout may be looking.
    rmSync(home, { recursive: true, force: true });
    renameSync(work, home);
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    throw error;
  }
}

/** Downloads packages into `work` and unpacks them below `work/root`. */
async function fetchPackages(work, names) {
  await run('apt-get', ['download', ...names], { cwd: work }).catch(async () => {
    // The system's lists are absent or old. Lists of our own need no root and leave the system as it is.
    await run('apt-get', [...ownLists(work), 'update'], { cwd: work });
    await run('apt-get', [...ownLists(work), 'download', ...names], { cwd: work });
  });
  for (const file of readdirSync(work).filter((name) => name.endsWith('.deb'))) {
    await run('dpkg', ['-x', file, 'root'], { cwd: work });
  }
}

function ownLists(work) {
  for (const dir of ['lists/partial', 'archives/partial']) mkdirSync(join(work, 'apt', dir), { recursive: true });
  const options = {
    'Dir::State::lists': join(work, 'apt/lists'),
    'Dir::Cache': join(work, 'apt'),
    'Debug::NoLocking': '1',
    // As root, apt would hand the download to a user who may not write here.
    'APT::Sandbox::User': '',
  };
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Adds the libraries that the loader does not find, and what those need, from the packages' own dependencies. */
async function addMissingLibraries(work) {
  for (let last = ''; ;) {
    const missing = missingLibraries(work);
    if (missing.length === 0) return;
    if (missing.join() === last) throw new StepFailed(`no package found for ${last}`);
    last = missing.join();
    const known = dependencies(work);
    const wanted = missing.flatMap((library) => known.find((name) => name.startsWith(packageOf(library))) ?? []);
    if (wanted.length > 0) await fetchPackages(work, wanted);
  }
}

function missingLibraries(work) {
  const said = execFileSync('ldd', [join(work, 'root/usr/bin/redis-server')], {
    encoding: 'utf8',
    env: {
      ...process.env,
      LD_LIBRARY_PATH: libraryFolders(work)
        .map((dir) => join(work, dir))
        .join(':'),
    },
  });
  return [...said.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1]);
}

/** Debian names a library's package after its soname: libssl.so.3 is in libssl3, liblua5.1.so.0 in liblua5.1-0. */
function packageOf(library) {
  const [name, version = ''] = library.toLowerCase().replaceAll('_', '-').split('.so.');
  return /\d$/.test(name) ? `${name}-${version}` : `${name}${version}`;
}

function dependencies(work) {
  return readdirSync(work)
    .filter((name) => name.endsWith('.deb'))
    .flatMap((file) =>
      execFileSync('dpkg-deb', ['-f', join(work, file), 'Pre-Depends', 'Depends'], { encoding: 'utf8' }).split(
        /[,|\n]/,
      ),
    )
    .map(
      (entry) =>
        entry
          .replace(/^[A-Za-z-]+: /, '')
          .trim()
          .split(/[ :(]/)[0],
    );
}

function libraryFolders(work) {
  return ['root/usr/lib', 'root/lib'].flatMap((dir) =>
    existsSync(join(work, dir))
      ? readdirSync(join(work, dir))
          .filter((name) => name.includes('-linux-'))
          .map((name) => `${dir}/${name}`)
      : [],
  );
}

/** `exec`, so that the pid that was started is the server's. */
function wrapper(folders) {
  return `#!/bin/sh
here=$(dirname -- "$0")
export LD_LIBRARY_PATH="${folders.map((dir) => `$here/${dir}`).join(':')}"
exec "$here/root/usr/bin/redis-server" "$@"
`;
}
