/** Finds a redis-server, step by step, and never starts or touches one that is already running. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { cachedRedis, unpackDebianRedis } from './redis-debian.mjs';
import { isMain, main, progress, run, step, StepFailed } from './step.mjs';

const OLDEST = 7;

/** The path of a server that is already here: named by SLUICE_REDIS_SERVER, on the PATH, or unpacked earlier. */
export function redisAtHand() {
  const named = process.env.SLUICE_REDIS_SERVER;
  if (named) return named;
  const candidates = ['redis-server', 'valkey-server'].flatMap((name) =>
    (process.env.PATH ?? '').split(delimiter).map((dir) => join(dir, name)),
  );
  return [...candidates, cachedRedis].find((path) => isExecutable(path) && serves(path));
}

/**
 * The path of a server, fetched if need be: Debian's package unpacked into a cache folder (no root, nothing installed),
 * else installed by the system's package manager: as root if nobody is there to be asked, otherwise if the answer is yes.
 * Undefined if there is none to be had.
 */
export async function findRedis() {
  const here = redisAtHand();
  if (here) {
    progress.say(`✓ redis-server: ${here}`);
    return here;
  }
  if (!onPath('dpkg') || !onPath('apt-get')) return installed();
  try {
    await step("unpack Debian's redis-server into a cache folder", async () => {
      await unpackDebianRedis();
      if (!serves(cachedRedis)) throw new StepFailed(`it is older than Redis ${OLDEST}`);
      return cachedRedis;
    });
    return cachedRedis;
  } catch {
    return installed();
  }
}

/** For tests: a real server or none. Sets SLUICE_REDIS_SERVER, which `startRedis()` reads. */
export async function requireRedis() {
  const path = await findRedis();
  if (!path) throw new StepFailed(CHOICES);
  process.env.SLUICE_REDIS_SERVER = path;
}

const CHOICES = `no redis-server ${OLDEST} or newer was found. Any one of these helps:
    install it:       apt-get install redis-server | brew install redis | dnf install valkey
    point to one:     SLUICE_REDIS_SERVER=/path/to/redis-server npm test
  Tests start private servers of their own and never use one that is already running.`;

async function installed() {
  const command = installCommand();
  if (!command || !(await mayInstall(command.join(' ')))) return undefined;
  const [program, ...args] = command;
  // Live: sudo asks for a password.
  const how = { live: true, stdin: 'inherit', env: { DEBIAN_FRONTEND: 'noninteractive' } };
  await step(command.join(' '), () => run(program, args, how)).catch(() => {});
  return redisAtHand();
}

function installCommand() {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo'];
  if (onPath('apt-get')) return [...sudo, 'apt-get', 'install', '-y', '--no-install-recommends', 'redis-server'];
  if (onPath('brew')) return ['brew', 'install', 'redis'];
  return undefined;
}

/** Whoever sits at a terminal is asked. Where nobody does, only root may: sudo would wait for a password. */
async function mayInstall(shown) {
  if (!process.stdin.isTTY || process.env.CI) return process.getuid?.() === 0;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`Install redis-server with \`${shown}\`? [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function serves(path) {
  try {
    const version = /v=(\d+)\./.exec(execFileSync(path, ['--version'], { encoding: 'utf8', stdio: 'pipe' }));
    return Number(version?.[1]) >= OLDEST;
  } catch {
    return false;
  }
}

const onPath = (name) => (process.env.PATH ?? '').split(delimiter).some((dir) => isExecutable(join(dir, name)));

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (isMain(import.meta.url)) await main(requireRedis);
