import { it } from '@jest/globals';

/** Specs run on servers in cluster mode: `npm run test:topologies -- slots`. */
export const CLUSTER_MODE = process.env['SLUICE_TEST_TOPOLOGY'] === 'slots';

/**
 * A test of what a server in cluster mode does not have: REPLICAOF, and databases other than 0. It is skipped there, and
 * `npm run test:topologies` counts and prints it.
 */
export const itOnPlainRedis = CLUSTER_MODE ? it.skip : it;

/**
 * A test of a script that a server in trouble runs in part, as users send it. With computed keys checked, Redis refuses such a
 * script whole. It is skipped there, printed, and runs in `npm test`.
 */
export const itAsUsersSendIt = process.env['SLUICE_TEST_COMPUTED_KEYS'] === '1' ? it.skip : it;
