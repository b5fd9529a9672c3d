/**
 * `npm run demo`: the shop on whatever Redis there is.
 *
 *   npm run demo                       the guided scenario, then it stays up
 *   npm run demo -- --redis=embedded   on js-redis-server, in a process, with nothing installed
 *
 * All other arguments are the launcher's own.
 */
import { Console } from 'node:console';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.mjs';
import { findRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { main, progress, root } from './step.mjs';

// With --json, standard output is for the figures alone.
if (process.argv.includes('--json')) globalThis.console = new Console(process.stderr);

await main(async () => {
  // The figures alone are for standard output then.
  if (process.argv.includes('--json')) progress.say = console.error;
  await ensureInstalled();
  await ensureBuilt();
  const embedded = process.argv.includes('--redis=embedded');
  Object.assign(process.env, embedded ? embeddedRedis() : await chosenRedis());

  // In this very process: signals and the exit code are the launcher's without anybody forwarding them.
  const launcher = join(root, 'dist/apps/demo/src/launcher.js');
  process.argv = [process.argv[0], launcher, ...process.argv.slice(2).filter((arg) => arg !== '--redis=embedded')];
  await import(pathToFileURL(launcher).href);
});

async function chosenRedis() {
  const url = process.env.SLUICE_REDIS_URL;
  if (url) {
    progress.say(`✓ redis: ${new URL(url).host}, as SLUICE_REDIS_URL says, in a namespace of the demo's own`);
    return {};
  }
  const path = await findRedis();
  return path ? { SLUICE_REDIS_SERVER: path } : embeddedRedis();
}

function embeddedRedis() {
  progress.say('! redis: js-redis-server, in a process: a first look, its figures are not representative');
  // One that is named in the environment would come first.
  delete process.env.SLUICE_REDIS_URL;
  return { SLUICE_REDIS_EMBEDDED: '1' };
}
