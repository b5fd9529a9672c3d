/** Installs the locked dependencies if they are missing or are not the locked ones. */
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isMain, main, progress, root, run, step, StepFailed } from './step.mjs';

const TRIES = 3;
const PAUSE_MS = 5_000;

export async function ensureInstalled(dir = root) {
  const reason = mismatch(dir);
  if (!reason) return;
  if (lstatSync(join(dir, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) {
    progress.say(`! node_modules is a link to another checkout and left alone, though ${reason}`);
    return;
  }
  await step(`install the locked dependencies, because ${reason}`, () => install(dir));
}

async function install(dir) {
  for (let attempt = 1; ; attempt++) {
    try {
      // The tools are development dependencies, whatever NODE_ENV says.
      await run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'], { cwd: dir });
      return;
    } catch (error) {
      if (attempt === TRIES) throw error;
      progress.say(`! npm ci failed, try ${attempt + 1} of ${TRIES} in ${PAUSE_MS / 1_000} s`);
      await pause(PAUSE_MS);
    }
  }
}

/** Why the installed tree is not the locked one; undefined if it is. npm keeps its own list of what it installed. */
function mismatch(dir) {
  const locked = packages(join(dir, 'package-lock.json'));
  if (!locked) throw new StepFailed(`${dir} has no package-lock.json`);
  const installed = packages(join(dir, 'node_modules', '.package-lock.json'));
  if (!installed) return 'there are none';
  for (const [path, { version, optional, link }] of Object.entries(locked)) {
    if (path === '' || link) continue;
    const found = installed[path]?.version;
    // The binaries of other platforms are locked and not installed.
    if (found === undefined && optional) continue;
    if (found !== version) return `${path} is ${found ?? 'missing'}, not ${version}`;
  }
  return undefined;
}

function packages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

if (isMain(import.meta.url)) await main(() => ensureInstalled());
