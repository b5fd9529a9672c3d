/**
 * `npm run test:topologies [-- --quick] [-- single|slots|sentinel|cluster|acl|profiles] [-- lock|cache|queue|limit]`: specs on
 * other servers than one that stays up, or as other users than one with all rights. Without names, all topologies and all features.
 *
 * - single: test/topologies/single, one server that is killed again and again.
 * - sentinel: the group's own specs, and test/topologies/sentinel.
 * - cluster: the cluster's own specs, and test/topologies/cluster. These three use all features in one, mostly wait, and two
 *   specs of them run at a time.
 * - slots: the suites of the features, of what they share, and test/e2e on servers in cluster mode that own all slots, so that each command and
 *   script across slots is rejected. Planted scripts across slots, by the keys they name or compute, show that they do reject.
 * - acl: the suite of each feature with the rule that SECURITY.md has for it, and nothing more.
 * - profiles: the suites without the commands that managed services refuse, one service after the other.
 */
import { parseArgs } from 'node:util';
import { ensureBuiltForApps } from './build.mjs';
import { requireRedis } from './redis.mjs';
import { ensureInstalled } from './setup.mjs';
import { withAclRules, withServiceProfiles } from './restricted-users.mjs';
import { runSpecs } from './specs.mjs';
import { main, StepFailed } from './step.mjs';

const FEATURES = ['lock', 'cache', 'queue', 'limit'];

/**
 * What `--quick` runs of a feature in cluster mode: all specs of its scripts, of the calls that take several names at once
 * (heartbeats, renewals, the reads of one turn, counts, tags, hand-overs), and of its service as a whole. Left out are specs of
 * options, decorators, telemetry, outages and time limits: they send the same commands.
 */
const QUICK = {
  lock: [
    'libs/lock/store/',
    'libs/lock/(lock.service|lock.raw|fenced-keys)',
    'libs/lock/acquiring/(waiting-room.spec|races|late-requests|newer-data)',
    'libs/lock/held/held-lock',
  ],
  cache: [
    'libs/cache/store/(scripts/|cache.store|tags|get-batcher|recently-seen|invalidation-repeats)',
    'libs/cache/local/(local-reads|client-tracking)',
    'libs/cache/(cache.service|cache.raw)',
    'libs/cache/loading/(batch|joined|warm)',
  ],
  queue: [
    'libs/queue/store/',
    'libs/queue/(queue.raw|queue.service)',
    'libs/queue/publish/unique',
    'libs/queue/admin/(pause|task-search|dead)',
    'libs/queue/worker/(consuming.spec|worker-lease|recovery|groups)',
  ],
  limit: ['libs/limit/store/', 'libs/limit/rate-limit.service', 'libs/redis/limits/'],
};

/** What `--quick` runs of a feature with few rights: its scripts and its public calls, which send every command of its rule. */
const QUICK_RIGHTS = {
  lock: ['libs/lock/store/', 'libs/lock/lock.(service|raw)'],
  cache: ['libs/cache/store/', 'libs/cache/cache.(service|raw)'],
  queue: ['libs/queue/store/', 'libs/queue/queue.(service|raw)'],
  limit: ['libs/limit/(store|deciding)/', 'libs/limit/rate-limit.service'],
};

/** Topologies with specs of their own. With `--quick` without `*.more.spec.ts`, which have variants of what the others do. */
const OWN_SPECS = {
  single: () => ['test/topologies/single/'],
  sentinel: (quick) => ownSpecs('sentinel', 'libs/testing/servers/sentinel-group', quick),
  cluster: (quick) => ownSpecs('cluster', 'libs/testing/servers/redis-cluster', quick),
};

/** Topologies on which the suites of the features run. */
const SUITES = {
  slots: async ({ features, quick }) => {
    // The second one: keys that scripts compute are checked as well.
    const env = { SLUICE_TEST_TOPOLOGY: 'slots', SLUICE_TEST_COMPUTED_KEYS: '1' };
    // The first ones show that what crosses slots is rejected.
    const patterns = ['test/topologies/slots', ...features.flatMap((feature) => suiteOf(feature, quick && QUICK))];
    if (quick) patterns.push('test/e2e/slots');
    else if (features.length < FEATURES.length) patterns.push(...features.map((feature) => `test/e2e/${feature}`));
    else patterns.push('libs/(redis|throttler)/', 'test/e2e/');
    const specs = await runSpecs('slots', { env, patterns });
    if (specs.skipped.length > 0) {
      console.log(`${specs.skipped.length} tests need what cluster mode does not have, and were skipped:`);
      for (const title of specs.skipped) console.log(`  ${title}`);
    }
    return [specs];
  },
  acl: ({ features, quick }) => withAclRules(features, (feature) => suiteOf(feature, quick && QUICK_RIGHTS)),
  profiles: ({ features, quick }) =>
    withServiceProfiles(features, (feature) => suiteOf(feature, quick && QUICK_RIGHTS), quick),
};

/** @param quick which specs of each feature; false: all */
function suiteOf(feature, quick) {
  return quick ? quick[feature] : [`libs/${feature}/`];
}

/** The fixture's specs, and those of the topology's folder. */
function ownSpecs(topology, fixture, quick) {
  return [fixture, `test/topologies/${topology}/${quick ? '[^.]*\\.spec' : ''}`];
}

await main(async () => {
  const { values, positionals } = parse();
  const features = FEATURES.filter((name) => positionals.includes(name));
  const all = [...Object.keys(OWN_SPECS), ...Object.keys(SUITES)];
  const named = all.filter((name) => positionals.includes(name));
  const topologies = named.length > 0 ? named : all;
  const unknown = positionals.find((name) => !FEATURES.includes(name) && !all.includes(name));
  if (unknown !== undefined) throw new StepFailed(`there is no '${unknown}', only ${[...all, ...FEATURES].join(', ')}`);
  await ensureInstalled();
  await ensureBuiltForApps();
  await requireRedis();
  const chosen = {
    features: features.length > 0 ? features : FEATURES,
    quick: values.quick === true,
  };
  const tally = { passed: 0, failed: 0 };
  const count = ({ passed, failed }) => {
    tally.passed += passed;
    tally.failed += failed;
  };
  const own = topologies.filter((name) => name in OWN_SPECS);
  const patterns = own.flatMap((name) => OWN_SPECS[name](chosen.quick));
  // Each uses several processes all the time, and compares how long they take.
  if (own.length > 0) count(await runSpecs(own.join(', '), { patterns, workers: 2 }));
  for (const name of topologies.filter((each) => each in SUITES)) {
    for (const result of await SUITES[name](chosen)) count(result);
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
