/**
 * `npm run test:topologies [-- --quick] [-- single|slots|sentinel|cluster|acl|profiles] [-- lock|cache|queue|limit]`: specs on
 * other servers than one that stays up, or as other users than one with all rights. Without names, all topologies and all features.
 *
 * - single: test/topologies/single, one server that is killed again and again.
 * - slots: the suites of the features and test/e2e on servers in cluster mode that own all slots, so that each command and
 *   script across slots is rejected. Planted scripts across slots, by the keys they name or compute, show that they do reject.
 * - sentinel: the group's own specs, and test/topologies/sentinel.
 * - cluster: the cluster's own specs, and test/topologies/cluster.
 * - acl: the suite of each feature with the rule that SECURITY.md has for it, and nothing more.
 * - profiles: the suites without the commands that managed services refuse, one service after the other.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuiltForApps } from './build.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { withAclRules, withServiceProfiles } from './restricted-users.mjs';
import { runSpecs } from './specs.mjs';
import { main, root, StepFailed } from './step.mjs';

const FEATURES = ['lock', 'cache', 'queue', 'limit'];

/**
 * What `--quick` runs of a feature: all specs of its keys, scripts and store, of the calls that take several names at once
 * (heartbeats, renewals, the reads of one turn, counts, tags, hand-overs), and of its service as a whole. Left out are specs of
 * options, decorators, telemetry, outages and time limits: they send the same commands.
 */
const QUICK = {
  lock: ['libs/lock/(store|acquiring)/', 'libs/lock/(lock.service|fenced-keys|lock.raw)', 'libs/lock/held/held-lock'],
  cache: [
    'libs/cache/(store|local)/',
    'libs/cache/(cache.service|cache.raw)',
    'libs/cache/loading/(batch|joined|warm)',
  ],
  queue: [
    'libs/queue/(store|publish)/',
    'libs/queue/(queue.raw|queue.service)',
    'libs/queue/admin/(pause|task-search|dead)',
    'libs/queue/worker/(consuming|worker-lease|recovery)',
  ],
  limit: ['libs/limit/'],
};

const TOPOLOGIES = {
  single: async () => [await runSpecs('single', { patterns: ['test/topologies/single'] })],
  slots: async ({ features, quick }) => {
    // The second one: keys that scripts compute are checked as well.
    const env = { SLUICE_TEST_TOPOLOGY: 'slots', SLUICE_TEST_COMPUTED_KEYS: '1' };
    const control = await runSpecs('slots: what crosses slots is rejected', {
      env,
      patterns: ['test/topologies/slots'],
    });
    const suites = features.flatMap((feature) => [...suiteOf(feature, quick), `test/e2e/${feature}`]);
    const all = features.length === FEATURES.length && !quick;
    const specs = await runSpecs('slots: the suites', { env, patterns: all ? [...suites, 'test/e2e/'] : suites });
    if (specs.skipped.length > 0) {
      console.log(`${specs.skipped.length} tests need what cluster mode does not have, and were skipped:`);
      for (const title of specs.skipped) console.log(`  ${title}`);
    }
    return [control, specs];
  },
  sentinel: async ({ features, quick }) => [
    await runSpecs('sentinel', {
      patterns: ownSpecs('sentinel', 'libs/testing/servers/sentinel-group', features, quick),
    }),
  ],
  cluster: async ({ features, quick }) => [
    await runSpecs('cluster', { patterns: ownSpecs('cluster', 'libs/testing/servers/redis-cluster', features, quick) }),
  ],
  acl: ({ features, quick }) => withAclRules(features, (feature) => suiteOf(feature, quick)),
  profiles: ({ features, quick }) => withServiceProfiles(features, (feature) => suiteOf(feature, quick), quick),
};

/** What sends other commands than the rest of its feature: see QUICK. */
function suiteOf(feature, quick) {
  return quick ? QUICK[feature] : [`libs/${feature}/`];
}

/** The fixture's specs, and those of its folder: in a quick run without those called `*.load.spec.ts`. */
function ownSpecs(topology, fixture, features, quick) {
  const folder = `test/topologies/${topology}`;
  if (!existsSync(join(root, folder))) return [fixture];
  const every = features.length === FEATURES.length;
  const names = every ? '' : `(${features.join('|')})`;
  return [fixture, `${folder}/${names}${quick ? '[^.]*\\.spec' : ''}`];
}

await main(async () => {
  const { values, positionals } = parse();
  const features = FEATURES.filter((name) => positionals.includes(name));
  const topologies = Object.keys(TOPOLOGIES).filter((name) => positionals.includes(name));
  const unknown = positionals.find((name) => !FEATURES.includes(name) && !(name in TOPOLOGIES));
  if (unknown !== undefined) {
    throw new StepFailed(`there is no '${unknown}', only ${[...Object.keys(TOPOLOGIES), ...FEATURES].join(', ')}`);
  }
  await ensureInstalled();
  await ensureBuiltForApps();
  await requireRedis();
  const chosen = {
    features: features.length > 0 ? features : FEATURES,
    quick: values.quick === true,
  };
  const tally = { passed: 0, failed: 0 };
  for (const name of topologies.length > 0 ? topologies : Object.keys(TOPOLOGIES)) {
    for (const { passed, failed } of await TOPOLOGIES[name](chosen)) {
      tally.passed += passed;
      tally.failed += failed;
    }
  }
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
  process.exitCode = tally.failed > 0 ? 1 : 0;
});

function parse() {
  try {
    return parseArgs({ options: { quick: { type: 'boolean' } }, allowPositionals: true });
  } catch (error) {
    throw new StepFailed(error.message);
  }
}
