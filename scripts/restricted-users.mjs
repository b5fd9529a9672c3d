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

/**
 * Keys of the specs beyond those of the line: each queue of theirs has another name, and fenced and raw keys are the user's own.
 * libs/sluice/acl.spec.ts runs each feature with the keys of its line.
 */
const FURTHER_KEYS = { lock: '~*', cache: '~*', queue: '~*', limit: '' };

/** Each feature's suite with its line of SECURITY.md, and nothing more. */
export async function withAclRules(features, patternsOf) {
  const results = [];
  for (const feature of features)
    results.push(await suite(`acl: ${feature}`, ruleFor(feature), [...patternsOf(feature), CONTROL]));
  return results;
}

/**
 * The suites with all rights but those that a managed service refuses. With `quick`, one run without anything that any of the
 * services refuses: what replaces one refused command does not depend on another one.
 */
export async function withServiceProfiles(features, patternsOf, quick) {
  const profiles = JSON.parse(readFileSync(join(root, 'test/support/service-profiles.json'), 'utf8'));
  const all = { 'all services at once': Object.values(profiles).join(' ') };
  const patterns = [...features.flatMap((feature) => patternsOf(feature)), CONTROL];
  const results = [];
  for (const [service, refused] of Object.entries(quick ? all : profiles)) {
    results.push(await suite(`profiles: ${service}`, `~* &* +@all ${refused}`, patterns));
  }
  return results;
}

/** Shows that the sockets of Sluice do log in as the restricted user. */
const CONTROL = 'test/topologies/acl';

function suite(label, rule, patterns) {
  return runSpecs(label, { patterns, env: { SLUICE_TEST_TOPOLOGY: 'acl', SLUICE_TEST_RULE: rule } });
}

/** The line of the feature for any namespace, and for none. */
function ruleFor(feature) {
  const page = readFileSync(join(root, 'SECURITY.md'), 'utf8').split(`\n${LINE_OF[feature]}`)[1];
  const [, line] = /^ACL SETUSER shop on >password (.*)$/m.exec(page);
  const anyNamespace = (word) => word.replace('shop:', '*:');
  const none = (word) => word.replace(/shop:(?!:)/, '').replace('shop::', ':');
  const words = line.split(' ').flatMap((word) => (word.includes('shop:') ? [anyNamespace(word), none(word)] : [word]));
  // Some specs start a server in cluster mode.
  return [...words, '+cluster|nodes', FURTHER_KEYS[feature]].join(' ').trim();
}
