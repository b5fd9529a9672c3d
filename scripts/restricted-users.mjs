/**
 * The suites of the features with a user of Redis who has few rights, for `npm run test:topologies`.
 *
 * The fixture gives each server this user, and scripts/jest-restricted-user.mjs lets the sockets of Sluice log in as it. Clients
 * of the specs, with which they look at and change the server, have all rights.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runSpecs } from './specs.mjs';
import { root } from './step.mjs';

const LINE_OF = {
  lock: 'Locks alone',
  cache: 'The cache alone',
  queue: 'A queue `orders` alone',
  limit: 'Rate limits alone',
};

/** What handlers of the specs note with `task.onAck`. */
const NOTED = '+decrby +expire +hdel +hincrby +hset +incrby +rpush +sadd +set +srem +unlink +zadd +zrem';

/**
 * What the specs need beyond the line: each queue of theirs has another name, and fenced and raw keys, and what is noted for an
 * acknowledgement, are the user's own. libs/sluice/acl.spec.ts runs each feature with the keys of its line.
 */
const OF_THE_USER = { lock: '~*', cache: '~*', queue: `~* ${NOTED}`, limit: '' };

/** What some specs use beyond the line, by the beginning of its item in SECURITY.md. */
const CLUSTER_MODE = 'a server in cluster mode';
const NEEDS_MORE = {
  lock: [CLUSTER_MODE],
  cache: [CLUSTER_MODE, 'client tracking of the cache'],
  queue: [CLUSTER_MODE],
  limit: [CLUSTER_MODE],
};

/** Each feature's suite with its line of SECURITY.md, and nothing more. */
export async function withAclRules(features, patternsOf) {
  const results = [];
  for (const feature of features)
    results.push(await suite(`acl: ${feature}`, ruleFor(feature), [...patternsOf(feature), CONTROL]));
  return results;
}

/** It refuses all of CLIENT, so what Sluice does where single ones are refused is not seen there. */
const WITHOUT_CLIENT = 'a service without CLIENT';

/** The features that send CLIENT commands. */
const OF_CLIENT = ['cache', 'queue'];

/**
 * The suites with all rights but those that a managed service refuses. With `quick`, one run without anything that one of the
 * services refuses which have CLIENT, because what replaces one of these commands does not depend on the others, and one run of
 * the features that use CLIENT without it.
 */
export async function withServiceProfiles(features, patternsOf, quick) {
  const profiles = JSON.parse(readFileSync(join(root, 'test/support/service-profiles.json'), 'utf8'));
  const { [WITHOUT_CLIENT]: client, ...others } = profiles;
  const merged = { 'all services that have CLIENT': Object.values(others).join(' '), [WITHOUT_CLIENT]: client };
  const results = [];
  for (const [service, refused] of Object.entries(quick ? merged : profiles)) {
    const some = quick && refused === client ? features.filter((feature) => OF_CLIENT.includes(feature)) : features;
    if (some.length === 0) continue;
    const patterns = [...some.flatMap((feature) => patternsOf(feature)), CONTROL];
    results.push(await suite(`profiles: ${service}`, `~* &* +@all ${refused}`, patterns));
  }
  return results;
}

/** Shows that the sockets of Sluice do log in as the restricted user. */
const CONTROL = 'test/topologies/acl';

async function suite(label, rule, patterns) {
  const ran = await runSpecs(label, { patterns, env: { SLUICE_TEST_TOPOLOGY: 'acl', SLUICE_TEST_RULE: rule } });
  if (ran.skipped.length > 0) console.log(`${ran.skipped.length} tests need what is refused, and were skipped:`);
  for (const title of ran.skipped) console.log(`  ${title}`);
  return ran;
}

/** The line of the feature for any namespace, and for none. */
function ruleFor(feature) {
  const page = readFileSync(join(root, 'SECURITY.md'), 'utf8');
  const [, line] = /^ACL SETUSER shop on >password (.*)$/m.exec(page.split(`\n${LINE_OF[feature]}`)[1]);
  const more = NEEDS_MORE[feature].map((what) => new RegExp(`^- ${what}.*: \`([^\`]+)\`$`, 'm').exec(page)[1]);
  const anyNamespace = (word) => word.replace('shop:', '*:');
  const none = (word) => word.replace(/shop:(?!:)/, '').replace('shop::', ':');
  const words = line.split(' ').flatMap((word) => (word.includes('shop:') ? [anyNamespace(word), none(word)] : [word]));
  return [...words, ...more, OF_THE_USER[feature]].join(' ').trim();
}
