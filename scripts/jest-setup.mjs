/** Before the first spec: which Redis the fixtures start, and whether what forked apps would run is up to date. */
import { isBuiltForApps } from './build.mjs';
import { ensureBundled } from './jest-packages.mjs';
import { ensureCompiled } from './jest-sources.mjs';
import { redisAtHand } from './redis.mjs';

export default async function setup(config, { transform: [[, , swc]] }) {
  process.env.SLUICE_JEST_PACKAGES = await ensureBundled();
  process.env.SLUICE_JEST_SOURCES = await ensureCompiled(process.env.SLUICE_JEST_PACKAGES, swc);
  const redis = redisAtHand();
  if (redis) process.env.SLUICE_REDIS_SERVER = redis;
  // Read by forkApp(): specs that fork nothing do not need a build.
  if (!isBuiltForApps()) process.env.SLUICE_STALE_BUILD = '1';
}
